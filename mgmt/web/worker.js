// SPDX-License-Identifier: ISC
// Shows notices of new mail that come by Web Push, when the page is not open.
addEventListener("push", event => {
	let m = {};

	try {
		m = event.data?.json() ?? {};
	} catch {
		// Nothing is told but that there is mail.
	}
	const from = typeof m.from === "string" ? m.from
		: m.from?.name || m.from?.address;

	event.waitUntil(registration.showNotification(from || "New mail", {
		body: [m.subject, m.preview].filter(s => typeof s === "string")
			.join("\n"), icon: "/web/icon.svg", tag: "mail" }));
});

addEventListener("notificationclick", event => {
	event.notification.close();
	event.waitUntil(clients.matchAll({ type: "window" }).then(all =>
		all.length > 0 ? all[0].focus() : clients.openWindow("/")));
});

// SPDX-License-Identifier: ISC
// Who is told of new mail: webhooks, ntfy, and this browser by Web Push.
import { h, say } from "./dom.js";
import { get, post, patch, remove } from "./api.js";
import { page, field, choice, table, button, form, time, enc, shownOnce }
	from "./forms.js";

const kinds = { webhook: "webhook", webpush: "a browser", unifiedpush:
	"UnifiedPush", ntfy: "ntfy" };
const contents = [["nothing", "only that there is new mail"],
	["envelope", "sender and subject"],
	["preview", "sender, subject, and how it begins"]];

const states = { new: "nothing sent yet", ok: "works", retry: "did not work, is "
	+ "tried again", ended: "wants no more", paused: "paused" };

/* --- this browser --- */

const canPush = () => "serviceWorker" in navigator && "PushManager" in window;

function octets(base64url) {
	const s = atob(base64url.replaceAll("-", "+").replaceAll("_", "/"));

	return Uint8Array.from(s, c => c.charCodeAt(0));
}
function base64url(buffer) {
	return btoa(String.fromCharCode(...new Uint8Array(buffer)))
		.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

// The only script that the page starts by a URL; our policy lets no other.
const workerUrl = globalThis.trustedTypes?.createPolicy("worker", {
	createScriptURL: () => "/worker.js" }).createScriptURL("") ?? "/worker.js";

// One that was made for another key of the server is of no use any more.
async function subscription(manager, options) {
	try {
		return await manager.subscribe(options);
	} catch (e) {
		const old = e.name === "InvalidStateError"
			? await manager.getSubscription() : null;

		if (old === null)
			throw e;
		await old.unsubscribe();
		return manager.subscribe(options);
	}
}

async function subscribe(content) {
	const { public: key } = await get("/notices/key");
	const worker = await navigator.serviceWorker.register(workerUrl,
		{ type: "classic" });

	await navigator.serviceWorker.ready;
	if (await Notification.requestPermission() !== "granted")
		throw new Error("The browser does not allow notices from here");
	const s = await subscription(worker.pushManager, { userVisibleOnly: true,
		applicationServerKey: octets(key) });
	const keys = { content, p256dh: base64url(s.getKey("p256dh")),
		secret: base64url(s.getKey("auth")) };
	const { notices } = await get("/notices");
	const old = notices.find(n => n.url === s.endpoint);

	// It has one, whatever is pressed how often.
	if (old)
		await patch("/notices/" + enc(old.id), keys);
	else
		await post("/notices", { ...keys, kind: "webpush", url: s.endpoint,
			name: navigator.userAgentData?.platform || "browser" });
}

/* --- all --- */

function state(n) {
	const s = n.status;

	return [h("span", { class: "badge " + (!s ? "unknown" : s.error
		? "failed" : "ok") }, n.paused ? "paused" : states[s?.state]
		?? "not known just now"),
	s?.error ? h("p", { class: "error" }, s.error) : null];
}

async function dead(n, out, again) {
	const { dead: list } = await get("/notices/" + enc(n.id) + "/dead");

	out.replaceChildren(h("h3", {}, "Not sent: " + (n.name || n.url)),
		table("Notices that could not be sent", ["Event", "At", "Attempts",
			"Why"], list.map(d => [String(d.event), time(d.at),
			String(d.attempts), d.error]), "All were sent."),
		list.length === 0 ? "" : button("Send them again", async () => {
			await post("/notices/" + enc(n.id) + "/retry", {});
			await again();
			say("They are sent again");
		}));
}

function actions(n, out, again) {
	const what = n.name || n.url, at = "/notices/" + enc(n.id);

	return h("div", { class: "buttons" },
		button("Test", async () => {
			const got = await post(at + "/test", {});

			say(got.ok ? "It was taken" : "It was not taken: " + got.error,
				!got.ok);
		}, { "aria-label": "Test " + what }),
		button(n.paused ? "Resume" : "Pause", async () => {
			await patch(at, { paused: !n.paused });
			await again();
		}, { "aria-label": (n.paused ? "Resume " : "Pause ") + what }),
		n.status?.dead > 0 ? button(n.status.dead + " not sent", () =>
			dead(n, out, again)) : null,
		button("Remove", async () => {
			await remove(at);
			await again();
		}, { "aria-label": "Remove " + what }));
}

export async function showNotices(where, context) {
	const { notices } = await get("/notices");
	const out = h("div", {}), made = h("div", {});
	const again = () => showNotices(where, context);

	page(where, "Notices of new mail",
		h("p", {}, "Programs and devices can be told at once when mail "
			+ "arrives."),
		table("Who is told", ["Who", "Told of", "State", "Sent", ""],
			notices.map(n => [n.name || n.url, contents.find(c => c[0] ===
				n.content)?.[1] ?? n.content, state(n),
			String(n.status?.sent ?? ""), actions(n, out, again)]),
		"Nobody is told."), out,
		h("h3", {}, "This browser"),
		canPush() ? form({ class: "row" }, async e => {
			await subscribe(e["push-content"].value);
			await again();
			say("This browser is told from now on");
		}, h("label", { for: "push-content" }, "Tell it"),
		h("select", { id: "push-content" }, contents.map(c =>
			h("option", { value: c[0], selected: c[0] === "envelope" },
				c[1]))), h("button", {}, "Subscribe"))
			: h("p", { class: "quiet" }, "This browser takes no push "
				+ "notices here; over http it does so on this machine "
				+ "only."),
		h("h3", { id: "add-notice" }, "Somebody else"), made,
		form({ "aria-labelledby": "add-notice" }, async e => {
			const got = await post("/notices", { kind: e.kind.value,
				url: e.url.value.trim(), content: e.content.value,
				name: e["notice-name"].value.trim(),
				...e.secret.value !== "" ? { secret: e.secret.value }
					: {} });

			await again();
			if (got.secret)
				where.querySelector("h3 + p, h3 + form").before(
					shownOnce("The key of its signatures.",
						got.secret));
		}, choice("kind", "How", "webhook", Object.entries(kinds).filter(k =>
			k[0] !== "webpush")),
		field("url", "URL", { type: "url", required: true,
			placeholder: "https://" }),
		field("notice-name", "Name"),
		choice("content", "What is told", "envelope", contents),
		field("secret", "Secret", { type: "password", autocomplete: "off" },
			"Of a webhook: the key of its signatures; empty: one is made. "
				+ "Of ntfy: an access token, if it needs one."),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Add"))));
}

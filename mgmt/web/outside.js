// SPDX-License-Identifier: ISC
// Accounts elsewhere, whose mail is fetched and who one can send as.
import { h, say, octets } from "./dom.js";
import { get, post, patch, remove } from "./api.js";
import { page, field, choice, check, table, button, form, time, enc }
	from "./forms.js";

const words = { new: "not looked at yet", ok: "works", retry:
	"did not work, is tried again", login: "the sign-in was refused",
paused: "paused" };
const securities = [["tls", "TLS"], ["starttls", "STARTTLS"],
	["none", "none: everybody on the way can read along"]];
const protocols = [["imap", "IMAP"], ["pop3", "POP3"],
	["gmail", "Gmail's own API"]];
const messages = n => n + (n === 1 ? " message" : " messages");
const link = o => "#/outside/" + enc(o.address);

function stateOf(o) {
	const s = o.paused ? "paused" : o.status?.state;

	return h("span", { class: "badge " + (s ?? "unknown") },
		words[s] ?? "not known just now");
}

async function list(where) {
	const { outside } = await get("/outside");

	page(where, "Accounts elsewhere",
		h("p", {}, "Mail of accounts that you have at other providers is "
			+ "fetched into this one, and you can write from their "
			+ "addresses."),
		table("Accounts elsewhere", ["Address", "State", "Last look",
			"Messages"], outside.map(o => [
			h("a", { href: link(o) }, o.address),
			[stateOf(o), o.status?.error ? h("p", { class: "error" },
				o.status.error) : null],
			time(o.status?.looked), String(o.status?.messages ?? "")]),
		"There are none yet."),
		h("p", {}, h("a", { class: "button primary", href:
			"#/outside/add" }, "Add an account")));
}

/* --- adding --- */

function servers(o) {
	const smtp = o.smtp ?? {};

	return [h("fieldset", {}, h("legend", {}, "Where mail is fetched"),
		choice("protocol", "Protocol", o.protocol ?? "imap", protocols),
		field("host", "Server", { value: o.host ?? "", required: true }),
		field("port", "Port", { type: "number", min: "1", max: "65535",
			value: String(o.port ?? 993), required: true }),
		choice("security", "Security", o.security ?? "tls", securities)),
	h("fieldset", {}, h("legend", {}, "Where mail is sent"),
		field("smtp-host", "Server", { value: smtp.host ?? "" },
			"Empty: nothing is sent from this address."),
		field("smtp-port", "Port", { type: "number", min: "1",
			max: "65535", value: String(smtp.port ?? 465) }),
		choice("smtp-security", "Security", smtp.security ?? "tls",
			securities))];
}

function serversOf(e) {
	return { protocol: e.protocol.value, host: e.host.value.trim(),
		port: Number(e.port.value), security: e.security.value,
		smtp: e["smtp-host"].value.trim() === "" ? null : {
			host: e["smtp-host"].value.trim(),
			port: Number(e["smtp-port"].value),
			security: e["smtp-security"].value } };
}

function addStart(where, address = "", why = null) {
	const f = form({}, async e => {
		const asked = e.address.value.trim();

		try {
			addSure(where, asked, await get("/outside/find?address=" +
				enc(asked)));
		} catch (problem) {
			if (!["not-found-out", "must-confirm", "try-later"]
				.includes(problem.code))
				throw problem;
			addSure(where, asked, {}, problem.message);
		}
	}, field("address", "Your address there", { type: "email",
		required: true, value: address, autocapitalize: "none" }),
	h("div", { class: "buttons" },
		h("button", { class: "primary" }, "Go on"),
		h("a", { class: "button", href: "#/outside" }, "Back")));

	page(where, "Add an account", why ? h("p", { class: "error" }, why)
		: null, f);
	f.elements.address.focus();
}

function addSure(where, address, found, why) {
	const f = form({}, async e => {
		const made = await post("/outside", { ...serversOf(e), address,
			user: e.user.value.trim(), sign_in: e["sign-in"]?.checked
				? "oauth" : "password",
			...e.password.value !== "" ? { password: e.password.value }
				: {} });

		location.hash = link(made);
	}, field("user", "User name there", { value: address, required: true }),
	field("password", "Password there", { type: "password" },
		found.hint ?? "It is kept sealed, and never shown."),
	found.oauth ? check("sign-in", "Sign in at the provider's own page "
		+ "instead (OAuth)", false) : null,
	h("details", { open: found.host === undefined },
		h("summary", {}, found.host === undefined ? "Servers"
			: "Servers: " + found.host + (found.smtp ? ", " +
				found.smtp.host : "")), servers(found)),
	h("div", { class: "buttons" },
		h("button", { class: "primary" }, "Add"),
		button("Back", () => addStart(where, address))));

	page(where, "Add " + address, why ? h("p", { class: "bar" }, why,
		" Say where it is.") : null, f);
	f.elements.password.focus();
}

/* --- one --- */

async function test(o, out) {
	out.className = "bar";
	out.textContent = "Signing in at " + o.host + " …";
	const got = await post("/outside/" + enc(o.address) + "/test", {});

	out.className = got.ok ? "bar good" : "bar bad";
	out.textContent = got.ok ? "It works: signed in at " + o.host + "."
		: "It does not work: " + got.error;
}

async function fetchNow(o, out, again) {
	out.className = "bar";
	out.textContent = "Looking …";
	const got = await post("/outside/" + enc(o.address) + "/fetch", {});

	await again();
	say(!got.done ? "It is still being fetched." : got.ok
		? messages(got.messages) + " came" : "It did not work: " +
			got.error, got.done && !got.ok);
}

async function logIn(where, o) {
	const got = await post("/outside/" + enc(o.address) + "/login", {});
	let asking = true;

	page(where, "Log in at the provider",
		h("p", {}, "Open ", h("a", { href: got.url, target: "_blank",
			rel: "noopener noreferrer" }, got.url), got.code
			? [" and type this code there: ", h("strong", { class:
				"secret" }, got.code)] : " and allow it there."),
		h("p", { role: "status", class: "quiet" },
			"Waiting until that is done …"),
		button("Give up", () => {
			asking = false;
			location.hash = "#/outside";
		}));
	const title = where.querySelector("h2");

	while (asking && title.isConnected) {
		await new Promise(r => setTimeout(r, (got.interval ?? 5) * 1000));
		if (!asking || !title.isConnected)
			return;
		const now = await get("/outside/" + enc(o.address) + "/login");

		if (now.state === "waiting")
			continue;
		asking = false;
		say(now.state === "done" ? "Logged in" : "It did not work: " +
			(now.error ?? now.state), now.state !== "done");
		await one(where, o.address);
	}
}

async function one(where, address) {
	const o = await get("/outside/" + enc(address)), s = o.status ?? {};
	const out = h("p", { role: "status" });
	const again = () => one(where, address);
	const at = "/outside/" + enc(o.address);

	page(where, o.address,
		h("dl", { class: "header" }, [["State", stateOf(o)],
			["Error", s.error || null], ["Last look", time(s.looked)],
			["Last time that it worked", time(s.worked)],
			["Next look", s.next ? time(s.next) : null],
			["So far", s.messages === undefined ? null : messages(
				s.messages) + ", " + octets(s.octets) + (s.refused
				? ", " + s.refused + " not taken" : "")],
			["Goes into", o.into || (o.protocol === "pop3" ? "INBOX"
				: "folders of the same name")]]
			.filter(([, v]) => v !== null).map(([k, v]) =>
				h("div", {}, h("dt", {}, k), h("dd", {}, v)))),
		h("div", { class: "buttons" },
			button("Test", () => test(o, out)),
			button("Fetch now", () => fetchNow(o, out, again)),
			button(o.paused ? "Resume" : "Pause", async () => {
				await patch(at, { paused: !o.paused });
				await again();
			}),
			o.sign_in === "oauth" ? button("Log in", () =>
				logIn(where, o), { class: "primary" }) : null,
			button("Remove", async () => {
				if (!confirm("Remove " + o.address + "? The mail "
					+ "that came stays."))
					return;
				await remove(at);
				location.hash = "#/outside";
				say("Removed");
			})), out,
		h("h3", {}, "Change it"),
		form({}, async e => {
			await patch(at, { ...serversOf(e), user: e.user.value.trim(),
				into: e.into.value.trim(), interval_seconds:
					Number(e.minutes.value) > 0
						? Number(e.minutes.value) * 60 : null,
				...e.password.value !== "" ? { password:
					e.password.value } : {} });
			await again();
			say("Saved");
		}, field("user", "User name there", { value: o.user,
			required: true }),
		field("password", "New password there", { type: "password" },
			"Empty: it stays. For another server it has to be said "
				+ "again."),
		field("into", "Folder for its mail", { value: o.into }),
		field("minutes", "Minutes between two looks", { type: "number",
			min: "0", max: "10080", value: String(Math.round(
				o.interval_seconds / 60)) }, "0: as the system does."),
		h("details", {}, h("summary", {}, "Servers"), servers(o)),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Save"), h("a", { class: "button", href: "#/outside" },
			"Back to all"))));
}

export async function showOutside(where, context, [address]) {
	if (address === undefined || address === "")
		await list(where);
	else if (address === "add")
		addStart(where);
	else
		await one(where, address);
}

// From a provider's page, by its redirect to /login?code=...: the API takes it
// only of a session of the account that began.
export async function comeBack() {
	const query = location.search;
	let to = "/#/outside";

	history.replaceState(null, "", "/");
	try {
		const got = await post("/outside/login", { query });

		to = "/" + link(got);
		say("Logged in");
	} catch (e) {
		say(e.message, true);
	}
	history.replaceState(null, "", to);
}

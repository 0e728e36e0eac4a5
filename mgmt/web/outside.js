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
		s === "login" && o.sign_in === "oauth" ? "waits for you to log in"
			: words[s] ?? "not known just now");
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
			[stateOf(o), o.status?.error && !waitsForLogin(o) ? h("p", { class: "error" },
				o.status.error) : null],
			time(o.status?.looked), String(o.status?.messages ?? "")]),
		"There are none yet."),
		h("p", {}, h("a", { class: "button primary", href:
			"#/outside/add" }, "Add an account")));
}

/* --- what is done with its mail --- */

const syncs = {
	imap: [["follow", "Keep it, and follow what is read or flagged there"],
		["mirror", "Keep both sides alike, in moving and deleting too"],
		["apart", "Copy it once, and leave both sides alone"]],
	gmail: [["follow", "Keep it, and follow what is read or labelled there"],
		["mirror", "Keep both sides alike, in moving and deleting too"],
		["apart", "Copy it once, and leave both sides alone"]],
};

// Controls that only some protocols have are shown for these.
function ways(o) {
	const only = (protocols, ...what) => h("div", { "data-for": protocols,
		hidden: true }, ...what);

	return h("fieldset", { class: "ways" },
		h("legend", {}, "What is done with its mail"),
		only("imap", choice("sync-imap", "After a message was fetched",
			o.sync ?? "follow", syncs.imap, "Both sides alike: what you "
				+ "read, flag, move or delete here is done there, and the "
				+ "other way round.")),
		only("gmail", choice("sync-gmail", "After a message was fetched",
			o.sync ?? "follow", syncs.gmail, "Both sides alike: what you "
				+ "read, star, move or delete here is done there, and the "
				+ "other way round; there it goes to Trash at most."),
		choice("labels", "Gmail's labels", o.labels ?? "keywords",
			[["keywords", "are keywords of the message here"],
				["folders", "are folders here"]])),
		only("imap pop3", field("delete-after", "Delete it there after so many days",
			{ type: "number", min: "0", max: "36500", value:
				String(o.delete_after_days ?? "") },
			"Empty: it stays there. 0: as soon as it is here. What is "
				+ "deleted there is then only here.")),
		only("imap", field("folders", "Only these folders there", { tag:
			"textarea", rows: "3", value: (o.folders ?? []).join("\n") },
		"One a line. Empty: all of them.")),
		only("imap gmail", check("push", "Put what arrives here into that "
			+ "account too", o.push ?? false, "Mail to your address here "
			+ "appears in the inbox there as well."),
		check("push-only", "… and keep nothing of it here", o.push_only
			?? false, "Until the other side has said that it has it, it "
			+ "waits here. Goes for all accounts that your mail is put "
			+ "into."), h("p", { class: "note", "data-push": "" })));
}

// What fits the protocol, as it is chosen; `o`: as it is stored.
function watchWays(f, o) {
	const e = f.elements, note = f.querySelector("[data-push]");
	const show = () => {
		const p = e.protocol.value;

		for (const part of f.querySelectorAll("[data-for]"))
			part.hidden = !part.dataset.for.split(" ").includes(p);
		e["push-only"].disabled = !e.push.checked;
		note.textContent = e.push.checked && e["push-only"].checked
			&& !o.paused && e.folders.value.trim() === ""
			? "It is fetched as well, so what is put there comes here from "
				+ "there: pause it, or fetch other folders only." : "";
	};

	f.addEventListener("change", show);
	show();
}

function waysOf(e) {
	const p = e.protocol.value, days = e["delete-after"].value.trim();
	const push = p !== "pop3" && e.push.checked;

	return { push, push_only: push && e["push-only"].checked,
		...p === "imap" ? { sync: e["sync-imap"].value, folders:
			e.folders.value.split("\n").map(s => s.trim())
				.filter(s => s !== "") } : { folders: [] },
		...p === "gmail" ? { sync: e["sync-gmail"].value,
			labels: e.labels.value } : {},
		delete_after_days: p === "gmail" || days === "" ? null
			: Number(days) };
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
			// What nobody vouches for is shown, to be confirmed.
			addSure(where, asked, problem.code === "must-confirm"
				? await get("/outside/find?confirm=true&address=" +
					enc(asked)) : {}, problem.message);
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

const byOAuth = e => e.protocol.value === "gmail" ||
	(e["sign-in"]?.checked ?? false);

function addSure(where, address, found, why) {
	const gmail = found.protocol === "gmail";
	const sure = found.host !== undefined && found.vouched;
	const f = form({}, async e => {
		const oauth = byOAuth(e);
		const made = await post("/outside", { ...serversOf(e), ...waysOf(e),
			address, user: e.user.value.trim(),
			sign_in: oauth ? "oauth" : "password",
			...!oauth && e.password.value !== ""
				? { password: e.password.value } : {} });

		location.hash = link(made);
	}, field("user", "User name there", { value: found.user ?? address,
		required: true }),
	found.oauth && !gmail ? check("sign-in", "Sign in at the provider's own "
		+ "page (OAuth), not with a password", found.oauth_only) : null,
	h("p", { class: "note", "data-oauth": "" }, "You allow it at the "
		+ "provider's own page, in the next step; no password is needed "
		+ "here."),
	h("div", { "data-password": "" }, field("password", "Password there",
		{ type: "password" }, (found.hint ? found.hint + ". " : "")
			+ "It is kept sealed, and never shown.")),
	h("details", { open: !sure },
		h("summary", {}, found.host === undefined ? "Servers"
			: "Servers: " + found.host + (found.smtp ? ", " +
				found.smtp.host : "")), servers(found)),
	h("details", {}, h("summary", {}, "More choices"),
		ways({})),
	h("div", { class: "buttons" },
		h("button", { class: "primary" }, found.vouched === false
			? "These are right, add it" : "Add"),
		button("Back", () => addStart(where, address))));
	const signIn = () => {
		const oauth = byOAuth(f.elements);

		f.querySelector("[data-oauth]").hidden = !oauth;
		f.querySelector("[data-password]").hidden = oauth;
	};

	page(where, "Add " + address, why ? h("p", { class: "bar bad" }, why, ".",
		found.host === undefined ? " Say where it is." : " Your password "
			+ "would go to that server: look whether it is your "
			+ "provider's.") : null, f);
	f.addEventListener("change", signIn);
	signIn();
	watchWays(f, {});
	f.elements[byOAuth(f.elements) ? "user" : "password"].focus();
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

const waitsForLogin = o => o.sign_in === "oauth" && !o.has_password;

function standing(o) {
	const s = o.status ?? {};

	return [["State", stateOf(o)],
		["Error", s.error && !waitsForLogin(o) ? h("span", { class: "error" }, s.error) : null],
		["Last look", time(s.looked)],
		["Last time that it worked", time(s.worked)],
		["Next look", s.next ? time(s.next) : null],
		["So far", s.messages === undefined ? null : messages(s.messages)
			+ ", " + octets(s.octets) + (s.refused ? ", " + s.refused
			+ " not taken" : "")],
		["Still to come", s.left ? messages(s.left) : null],
		["Goes into", o.into || (o.protocol === "pop3" ? "INBOX"
			: "folders of the same name")]]
		.filter(([, v]) => v !== null).map(([k, v]) =>
			h("div", {}, h("dt", {}, k), h("dd", {}, v)));
}

// How it stands changes by itself; what is being typed stays.
async function follow(list, at, o) {
	let last = JSON.stringify(o.status);

	for (;;) {
		await new Promise(r => setTimeout(r, 3000));
		if (!list.isConnected)
			return;
		if (document.hidden)
			continue;
		const now = await get(at).catch(() => null);

		if (now !== null && JSON.stringify(now.status) !== last) {
			last = JSON.stringify(now.status);
			list.replaceChildren(...standing(now));
		}
	}
}

async function one(where, address) {
	const o = await get("/outside/" + enc(address));
	const out = h("p", { role: "status" });
	const again = () => one(where, address);
	const at = "/outside/" + enc(o.address);
	const change = changeForm(o, at, again);
	const list = h("dl", { class: "header" }, standing(o));

	page(where, o.address, list,
		waitsForLogin(o) ? h("p", { class: "bar" },
			"One step is left: log in at the provider, and allow it "
				+ "there.") : null,
		h("div", { class: "buttons" },
			o.sign_in === "oauth" ? button("Log in", () =>
				logIn(where, o), { class: o.has_password &&
				o.status?.state !== "login" ? null : "primary" }) : null,
			button("Test", () => test(o, out)),
			button("Fetch now", () => fetchNow(o, out, again)),
			button(o.paused ? "Resume" : "Pause", async () => {
				await patch(at, { paused: !o.paused });
				await again();
			}),
			button("Remove", async () => {
				if (!confirm("Remove " + o.address + "? The mail "
					+ "that came stays."))
					return;
				await remove(at);
				location.hash = "#/outside";
				say("Removed");
			})), out,
		o.notes.map(n => h("p", { class: "bar" }, n)),
		h("h3", {}, "Change it"), change);
	watchWays(change, o);
	follow(list, at, o);
}

function changeForm(o, at, again) {
	const minutes = String(Math.round(o.interval_seconds / 60));
	const oauth = o.sign_in === "oauth";

	return form({}, async e => {
		await patch(at, { ...serversOf(e), ...waysOf(e),
			user: e.user.value.trim(), into: e.into.value.trim(),
			...e.minutes.value === minutes ? {} : { interval_seconds:
				Number(e.minutes.value) > 0
					? Number(e.minutes.value) * 60 : null },
			...e.password?.value ? { password: e.password.value } : {} });
		await again();
		say("Saved");
	}, field("user", "User name there", { value: o.user, required: true }),
	oauth ? null : field("password", "New password there",
		{ type: "password" }, "Empty: it stays. For another server it has to "
			+ "be said again."),
	field("into", "Folder for its mail", { value: o.into }),
	field("minutes", "Minutes between two looks", { type: "number", min: "0",
		max: "10080", value: minutes }, "0: as the system does."),
	ways(o),
	h("details", {}, h("summary", {}, "Servers"), servers(o)),
	h("div", { class: "buttons" }, h("button", { class: "primary" }, "Save"),
		h("a", { class: "button", href: "#/outside" }, "Back to all")));
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

// SPDX-License-Identifier: ISC
// The page as a whole: mailboxes, the list, what is shown beside it, keys.
import { h, fill, say, when, person } from "./dom.js";
import { get, post, patch, resume, signOut, whenSignedOut, watch, searchQuery,
	messagePath } from "./api.js";
import { showSignIn } from "./signin.js";
import { showMessage } from "./message.js";
import { compose, reply, forward } from "./compose.js";
import { noteArrival, showMonitor } from "./monitor.js";
import { showSettings } from "./settings.js";
import { showOutside, comeBack } from "./outside.js";
import { showAccount } from "./account.js";
import { showNotices } from "./notices.js";
import { showAccounts, showDomains } from "./admin.js";
import { showStatus, showQueue, showWhy } from "./system.js";

const app = document.getElementById("app");
let session = null, events = null, state = "waiting";
let boxes = [];
let box = null, items = [], next = null, search = "", open = null, shown = null;
const ui = {};

/* --- where we are: #/box/ID[/UID][?search], #/PAGE[/WHAT][?query] --- */

// Beside mail: what shows it, in the order of the menu.
const pages = {
	monitor: { name: "Monitor", show: where => showMonitor(where, boxName,
		state) },
	outside: { name: "Accounts elsewhere", show: showOutside },
	notices: { name: "Notices", show: showNotices },
	settings: { name: "Settings", show: showAccount },
	access: { name: "Access", show: where => showSettings(where, session,
		leave) },
	status: { name: "Status", admin: true, show: showStatus },
	accounts: { name: "Accounts", admin: true, show: showAccounts },
	domains: { name: "Domains", admin: true, show: showDomains },
	queue: { name: "Queue", admin: true, show: showQueue },
	why: { name: "What became of it", admin: true, show: showWhy },
};

function route() {
	const [path, query] = location.hash.slice(2).split("?");
	const parts = path.split("/");

	return { page: parts[0] in pages ? parts[0] : "box", box: parts[1],
		uid: Number(parts[2]) || null,
		search: decodeURIComponent(query ?? ""),
		args: parts.slice(1).map(decodeURIComponent) };
}
function link(id, uid, text = search) {
	return "#/box/" + id + (uid ? "/" + uid : "") +
		(text ? "?" + encodeURIComponent(text) : "");
}
const boxName = id => {
	const b = boxes.find(x => x.id === id);

	return b === undefined ? "" : b.role === "inbox" ? "Inbox" : b.name;
};
const boxOfRole = role => boxes.find(b => b.role === role);

const isAdmin = () => session.scopes.includes("admin");

function drawPages(now) {
	const link = ([id, p]) => h("li", {}, h("a", { href: "#/" + id,
		"aria-current": id === now ? "page" : null }, p.name));
	const all = Object.entries(pages);

	fill(ui.pages, h("ul", { class: "pages" },
		all.filter(([, p]) => !p.admin).map(link),
		h("li", {}, h("button", { type: "button", class: "plain",
			onclick: help }, "Keys and help"))),
	isAdmin() ? h("ul", { class: "pages", "aria-label": "For admins" },
		all.filter(([, p]) => p.admin).map(link)) : null);
}

// What pages may do with the whole.
const context = {
	get session() {
		return session;
	},
	restart: got => {
		events?.close();
		return begin(got);
	},
	ended: why => end(why),
};

/* --- mailboxes --- */

async function loadBoxes() {
	boxes = (await get("/mailboxes")).mailboxes;
	drawBoxes();
}

function drawBoxes() {
	const at = route();

	fill(ui.boxes, boxes.map(b => h("li", {},
		h("a", { href: link(b.id, null, ""), class: "box " + (b.role ?? ""),
			"aria-current": at.page === "box" && b.id === box
				? "page" : null },
		h("span", {}, boxName(b.id)),
		b.unseen > 0 ? h("span", { class: "count",
			"aria-label": b.unseen + " unread" }, String(b.unseen))
			: null))));
	document.title = boxName(box) + " – pneu";
}

// Counts are the server's; asked for once things are quiet.
let counting;
function countLater() {
	clearTimeout(counting);
	counting = setTimeout(() => loadBoxes().catch(() => {}), 400);
}

/* --- the list --- */

function drawItem(m) {
	const unread = !m.flags.includes("seen");

	return h("li", { class: unread ? "unread" : "" },
		h("a", { href: link(box, m.uid), "data-uid": String(m.uid),
			"aria-current": m.uid === open ? "true" : null },
		unread ? h("span", { class: "sr" }, "Unread. ") : null,
		h("span", { class: "who" }, boxOfRole("sent")?.id === box
			? "To " + m.to.map(person).join(", ")
			: person(m.from[0])),
		when(m.received),
		h("span", { class: "subject" },
			m.flags.includes("flagged") ? h("span", { class: "flag",
				role: "img", "aria-label": "Flagged" }, "★ ")
				: null,
			m.flags.includes("answered") ? h("span", { role: "img",
				"aria-label": "Answered", class: "quiet" }, "↩ ")
				: null,
			m.attachments ? h("span", { role: "img", class: "clip",
				"aria-label": "With attachments" }) : null,
			m.subject || "(no subject)"),
		h("span", { class: "preview" }, m.preview)));
}

function drawList() {
	fill(ui.list, items.map(drawItem));
	ui.more.hidden = next === null;
	ui.empty.hidden = items.length > 0;
	ui.empty.textContent = search ? "Nothing was found." : "No messages.";
	ui.listTitle.textContent = search ? "Found in " + boxName(box)
		: boxName(box);
}

async function loadList(more) {
	const q = searchQuery(search);

	if (more && next !== null)
		q.set("cursor", next);
	const asked = box;
	const got = await get("/mailboxes/" + box + "/messages?" + q);

	if (asked !== box)
		return;
	items = more ? items.concat(got.messages) : got.messages;
	next = got.next;
	drawList();
}

/* --- what is done with messages --- */

function neighbour(uid, step) {
	const i = items.findIndex(m => m.uid === uid);

	return i < 0 ? items[0] : items[i + step];
}

function dropItem(uid) {
	const after = neighbour(uid, 1) ?? neighbour(uid, -1);

	items = items.filter(m => m.uid !== uid);
	drawList();
	if (open === uid)
		location.hash = link(box, after && after.uid !== uid &&
			wide() ? after.uid : null);
}

async function moveTo(role, said) {
	const target = boxOfRole(role), uid = open, from = box;

	if (uid === null || target === undefined || target.id === from)
		return;
	await post("/mailboxes/" + from + "/messages/move",
		{ uids: [uid], to: target.id });
	dropItem(uid);
	say(said);
	countLater();
}

async function removeOpen() {
	if (open === null)
		return;
	if (boxOfRole("trash") && boxOfRole("trash").id !== box) {
		await moveTo("trash", "Moved to Trash");
		return;
	}
	const uid = open;

	await post("/mailboxes/" + box + "/messages/delete", { uids: [uid] });
	dropItem(uid);
	say("Deleted");
	countLater();
}

async function toggle(flag) {
	const m = items.find(x => x.uid === open);

	if (m === undefined)
		return;
	const has = m.flags.includes(flag);

	await patch(messagePath(box, open), has ? { remove: [flag] }
		: { add: [flag] });
	setFlags(box, open, has ? m.flags.filter(f => f !== flag)
		: m.flags.concat(flag));
	countLater();
}

function setFlags(id, uid, flags) {
	const m = items.find(x => x.uid === uid);

	if (id === box && m !== undefined) {
		m.flags = flags;
		drawList();
	}
}

const guard = f => (...args) => Promise.resolve(f(...args))
	.catch(e => say(e.message, true));

/* --- showing --- */

const wide = () => matchMedia("(min-width: 900px)").matches;

async function showOpen() {
	if (open === null) {
		shown = null;
		fill(ui.reader, h("p", { class: "quiet nothing" },
			"Choose a message."));
		return;
	}
	fill(ui.reader, h("p", { class: "quiet nothing" }, "Loading …"));
	shown = await showMessage(ui.reader, session, box, open, {
		back: link(box, null),
		archive: guard(() => moveTo("archive", "Archived")),
		remove: guard(removeOpen), unread: guard(() => toggle("seen")) });
}

async function show() {
	const at = route();

	document.body.dataset.view = at.page !== "box" ? "page"
		: at.uid ? "reader" : "list";
	drawPages(at.page);
	if (at.page !== "box") {
		open = null;
		shown = null;
		drawBoxes();
		drawList();
		await pages[at.page].show(ui.reader, context, at.args, at.search);
		ui.reader.scrollTop = 0;
		if (!ui.reader.contains(document.activeElement))
			ui.reader.querySelector("h2")?.focus();
		return;
	}
	const want = boxes.find(b => b.id === at.box) ?? boxes[0];

	if (want.id !== box || at.search !== search) {
		box = want.id;
		search = at.search;
		ui.search.value = search;
		items = [];
		await loadList(false);
	}
	if (at.uid !== open || shown === null) {
		open = at.uid;
		await showOpen();
	}
	drawBoxes();
	drawList();
}

/* --- what the server tells --- */

const handlers = {
	message(m) {
		if (!m.flags.includes("seen"))
			noteArrival(m);
		countLater();
		if (m.mailbox === box && search === "" &&
		    !items.some(x => x.uid === m.uid)) {
			items.unshift(m);
			drawList();
		}
		if (route().page === "monitor")
			showMonitor(ui.reader, boxName, state);
		if (!m.flags.includes("seen"))
			say("New message from " + person(m.from?.[0]) + ": " +
				(m.subject ?? ""));
	},
	flags(m) {
		setFlags(m.mailbox, m.uid, m.flags);
		countLater();
	},
	expunged(m) {
		if (m.mailbox === box && items.some(x => x.uid === m.uid)) {
			items = items.filter(x => x.uid !== m.uid);
			drawList();
		}
		countLater();
	},
	reload(m) {
		if (m.mailbox === box)
			loadList(false).catch(() => {});
		countLater();
	},
	mailboxes: countLater,
};

/* --- keys --- */

const keys = {
	c: ["write a message", () => compose(session)],
	j: ["next message", () => step(1)],
	k: ["message before", () => step(-1)],
	r: ["reply", () => shown && reply(session, box, shown, false)],
	a: ["reply to all", () => shown && reply(session, box, shown, true)],
	f: ["forward", () => shown && forward(session, shown)],
	e: ["archive", () => moveTo("archive", "Archived")],
	"#": ["delete", removeOpen],
	u: ["read or unread", () => toggle("seen")],
	s: ["flag or not", () => toggle("flagged")],
	"/": ["search", () => ui.search.focus()],
	m: ["monitor", () => {
		location.hash = "#/monitor";
	}],
	"?": ["these keys", help],
};

function step(n) {
	const to = open === null ? items[0] : neighbour(open, n);

	if (to !== undefined)
		location.hash = link(box, to.uid);
}

function help() {
	const d = h("dialog", { "aria-labelledby": "help-title",
		onclose: () => d.remove() },
	h("h2", { id: "help-title" }, "Keys"),
	h("dl", { class: "keys" }, Object.entries(keys).map(([k, [what]]) =>
		h("div", {}, h("dt", {}, h("kbd", {}, k)), h("dd", {}, what)))),
	h("h3", {}, "Search"),
	h("p", {}, "Words, and from:, to:, cc:, subject:, body:, since:, "
		+ "before: (2026-11-20), is:unread, is:flagged, is:answered."),
	h("form", { method: "dialog" }, h("button", { class: "primary" },
		"Close")));

	document.body.append(d);
	d.showModal();
}

document.addEventListener("keydown", e => {
	if (session === null || e.ctrlKey || e.metaKey || e.altKey ||
	    e.target.closest("input, textarea, select, dialog"))
		return;
	const key = keys[e.key];

	if (key !== undefined) {
		e.preventDefault();
		guard(key[1])();
	}
});

/* --- beginning and end --- */

function build() {
	ui.boxes = h("ul", {});
	ui.pages = h("div", {});
	ui.list = h("ol", { class: "messages" });
	ui.listTitle = h("h2", {});
	ui.empty = h("p", { class: "quiet" });
	ui.more = h("button", { type: "button", class: "more",
		onclick: guard(() => loadList(true)) }, "Older messages");
	ui.reader = h("main", { id: "reader", tabindex: "-1" });
	ui.search = h("input", { type: "search", name: "q",
		"aria-label": "Search this mailbox", placeholder: "Search  ( / )" });
	ui.state = h("span", { class: "state waiting" });
	fill(app, h("a", { class: "skip", href: "#reader", onclick: e => {
		e.preventDefault();
		ui.reader.focus();
	} }, "Skip to the message"),
	h("header", { class: "top" },
		h("h1", {}, h("a", { class: "home", href: "#/box/" },
			h("img", { src: "/web/icon.svg", alt: "pneu", width: "28",
				height: "28" }), h("span", { "aria-hidden": "true" },
				"pneu"))),
		h("form", { role: "search", onsubmit: e => {
			e.preventDefault();
			if (box !== null)
				location.hash = link(box, null,
					ui.search.value.trim());
			ui.search.blur();
		} }, ui.search),
		h("span", { class: "account" }, ui.state, session.account),
		h("button", { type: "button", onclick: guard(leave) },
			"Sign out")),
	h("div", { class: "columns" },
		h("nav", { "aria-label": "Mailboxes and pages" },
			h("button", { type: "button", class: "primary",
				onclick: () => compose(session) }, "Write"),
			ui.boxes,
			ui.pages),
		h("section", { class: "list", "aria-label": "Messages" },
			ui.listTitle, ui.list, ui.empty, ui.more),
		ui.reader));
}

async function begin(got) {
	session = got;
	box = null;
	open = null;
	shown = null;
	build();
	if (location.pathname === "/login")
		await comeBack();
	await loadBoxes();
	await show();
	events = watch(handlers, s => {
		state = s;
		ui.state.className = "state " + s;
		ui.state.title = s === "connected" ? "New mail appears by itself"
			: "No connection; trying again";
	});
}

function end(why) {
	events?.close();
	session = null;
	shown = null;
	delete document.body.dataset.view;
	showSignIn(app, guard(begin), why);
}

async function leave() {
	await signOut().catch(e => {
		if (e.status !== 401)
			throw e;
	});
	end();
}

whenSignedOut(() => end("Please sign in again."));
addEventListener("hashchange", guard(() => session && show()));
resume().then(got => got === null ? end() : begin(got))
	.catch(e => end(e.message));

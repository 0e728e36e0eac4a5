// SPDX-License-Identifier: ISC
// The API (docs/api.md), signed in by a cookie that this page cannot read.

const root = "/api/v1";
let csrf = null;

export class Problem extends Error {
	constructor(status, body) {
		super(body.detail ? body.title + ": " + body.detail
			: body.title ?? "The server said " + status);
		this.status = status;
		this.code = body.code;
	}
}

export let onSignedOut = () => {};
export function whenSignedOut(f) {
	onSignedOut = f;
}

export async function call(method, path, body) {
	const headers = {};

	if (body !== undefined)
		headers["Content-Type"] = "application/json";
	if (csrf !== null)
		headers["X-CSRF-Token"] = csrf;
	let reply;
	try {
		reply = await fetch(root + path, { method, headers,
			body: body === undefined ? undefined
				: JSON.stringify(body) });
	} catch {
		throw new Problem(0, { title: "The server cannot be reached" });
	}
	const text = await reply.text();
	let got = null;
	try {
		got = text === "" ? null : JSON.parse(text);
	} catch {
		got = {};
	}
	if (reply.ok)
		return got;
	if (reply.status === 401 && csrf !== null) {
		csrf = null;
		onSignedOut();
	}
	throw new Problem(reply.status, got ?? {});
}

export const get = path => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const patch = (path, body) => call("PATCH", path, body);
export const remove = path => call("DELETE", path);

export async function signIn(address, password) {
	const got = await post("/session", { address, password, cookie: true,
		name: "web page" });

	csrf = got.csrf;
	return got;
}

// The session that the cookie still opens, or null.
export async function resume() {
	try {
		const got = await get("/session");

		csrf = got.csrf ?? null;
		return got;
	} catch (e) {
		if (e.status === 401)
			return null;
		throw e;
	}
}

export async function signOut() {
	await remove("/session");
	csrf = null;
}

export const messagePath = (box, uid) =>
	"/mailboxes/" + box + "/messages/" + uid;
export const url = path => root + path;

// Events until close(); the browser comes back by itself, and is told what
// it missed.
export function watch(handlers, onState) {
	const source = new EventSource(root + "/events");

	for (const name of ["ready", "message", "flags", "expunged", "reload",
		"mailboxes"])
		source.addEventListener(name, e =>
			handlers[name]?.(JSON.parse(e.data)));
	source.onopen = () => onState("connected");
	source.onerror = () => onState(
		source.readyState === EventSource.CLOSED ? "closed" : "waiting");
	return source;
}

// "from:bob is:unread budget" as the parameters of a list.
export function searchQuery(text) {
	const q = new URLSearchParams(), words = [];

	for (const word of text.match(/\w+:"[^"]*"|\S+/g) ?? []) {
		const m = /^(from|to|cc|subject|body|since|before|is|keyword):"?(.*?)"?$/
			.exec(word);

		if (m === null)
			words.push(word);
		else if (m[1] !== "is")
			q.set(m[1], m[2]);
		else if (m[2] === "unread")
			q.set("seen", "false");
		else if (["seen", "flagged", "answered", "draft"].includes(m[2]))
			q.set(m[2], "true");
	}
	if (words.length > 0)
		q.set("q", words.join(" "));
	return q;
}

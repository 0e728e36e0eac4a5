// SPDX-License-Identifier: ISC
// One message. Its HTML is cleaned by the server and shown in a frame without
// scripts; plain text is text.
import { h, fill, say, octets, address, whenExactly } from "./dom.js";
import { get, patch, messagePath, url } from "./api.js";
import { reply, forward } from "./compose.js";

function people(label, list) {
	return list.length === 0 ? null
		: h("div", {}, h("dt", {}, label),
			h("dd", {}, list.map(address).join(", ")));
}

function attachments(box, m) {
	const files = m.parts.filter(p => p.part > 0 &&
		!p.type.startsWith("multipart/") &&
		(p.filename !== null || p.disposition === "attachment" ||
			!/^(text|image)\//.test(p.type)));

	return files.length === 0 ? null
		: h("section", { "aria-label": "Attachments",
			class: "attachments" },
		files.map(p => h("a", { class: "button", download: p.filename
			?? "attachment", href: url(messagePath(box, m.uid) +
				"/parts/" + p.part) },
		h("span", { class: "clip" }), p.filename ?? p.type, h("small", {}, " ",
			octets(p.octets)))));
}

function body(box, m) {
	const path = url(messagePath(box, m.uid) + "/html");
	const frame = h("iframe", { title: "Message", src: path,
		sandbox: "allow-popups allow-popups-to-escape-sandbox",
		referrerpolicy: "no-referrer" });
	const bar = h("p", { class: "bar" }, m.remote_images === 1
		? "An image from elsewhere is not shown, as it would tell the "
			+ "sender that you read this. "
		: m.remote_images + " images from elsewhere are not shown, as "
			+ "they would tell the sender that you read this. ",
	h("button", { type: "button", onclick: () => {
		frame.src = path + "?remote=true";
		bar.remove();
	} }, m.remote_images === 1 ? "Show it" : "Show them"));

	if (m.html === null)
		return h("pre", { class: "text" }, m.text ?? "");
	return [m.remote_images > 0 ? bar : null, frame];
}

function headerView(m) {
	return h("details", {}, h("summary", {}, "All header fields"),
		h("dl", { class: "header" }, m.header.map(f =>
			h("div", {}, h("dt", {}, f.name), h("dd", {}, f.value)))));
}

// `tools`: what the list can do with it. Returns the message.
export async function showMessage(where, session, box, uid, tools) {
	const m = await get(messagePath(box, uid));
	const title = h("h2", { tabindex: "-1" }, m.subject || "(no subject)");
	const button = (label, key, f, extra) => h("button", { type: "button",
		title: label + " (" + key + ")", onclick: f, ...extra }, label);

	fill(where, h("div", { class: "tools", role: "toolbar",
		"aria-label": "Message" },
	h("a", { class: "button back", href: tools.back }, "← Back"),
	button("Reply", "r", () => reply(session, box, m, false)),
	button("Reply all", "a", () => reply(session, box, m, true)),
	button("Forward", "f", () => forward(session, m)),
	button("Archive", "e", tools.archive),
	button("Delete", "#", tools.remove),
	button("Unread", "u", tools.unread),
	h("a", { class: "button", href: url(messagePath(box, uid) + "/raw"),
		download: "message-" + uid + ".eml" }, "Source")),
	h("article", {}, title,
		h("dl", { class: "people" }, people("From", m.from),
			people("To", m.to), people("Cc", m.cc),
			h("div", {}, h("dt", {}, "Date"),
				h("dd", {}, whenExactly(m.date)))),
		attachments(box, m), body(box, m),
		m.truncated ? h("p", { class: "bar" }, "The rest is too long "
			+ "to be shown: see Source.") : null,
		headerView(m)));
	title.focus({ preventScroll: true });
	if (!m.flags.includes("seen"))
		patch(messagePath(box, uid), { add: ["seen"] })
			.catch(e => say(e.message, true));
	return m;
}

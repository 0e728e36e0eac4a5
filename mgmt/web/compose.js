// SPDX-License-Identifier: ISC
// Writing a message, in a dialog over whatever is shown.
import { h, say, octets, address, whenExactly } from "./dom.js";
import { get, post } from "./api.js";

const TOTAL_MAX = 16 * 1024 * 1024;

function split(text) {
	return (text.match(/(?:"[^"]*"|[^,;])+/g) ?? []).map(s => s.trim())
		.filter(s => s !== "");
}

function base64(file) {
	return new Promise((resolve, reject) => {
		const r = new FileReader();

		r.onload = () => resolve(r.result.slice(r.result.indexOf(",") + 1));
		r.onerror = () => reject(r.error);
		r.readAsDataURL(file);
	});
}

function field(id, label, props) {
	return [h("label", { for: id }, label),
		h("input", { id, name: id, type: "text", autocomplete: "off",
			...props })];
}

export function compose(session, start = {}) {
	const files = [];
	const list = h("ul", { class: "files" });
	const error = h("p", { class: "error", role: "alert" });
	const text = h("textarea", { id: "text", name: "text", rows: "14",
		"aria-label": "Message", value: start.text ?? "" });
	const chooser = h("input", { type: "file", id: "attach", multiple: true,
		class: "hidden", onchange: attach });
	const send = h("button", { class: "primary", type: "submit" }, "Send");
	// Addresses elsewhere that one can write from.
	const own = h("datalist", { id: "own-addresses" });
	const form = h("form", { method: "dialog", onsubmit: submit,
		onkeydown: e => {
			if (e.key === "Enter" && (e.ctrlKey || e.metaKey))
				form.requestSubmit();
		} },
		h("h2", { id: "compose-title" }, start.title ?? "New message"),
		h("div", { class: "fields" },
			field("from", "From", { value: start.from
				?? session.account, required: true,
			list: "own-addresses" }),
			field("to", "To", { value: start.to ?? "" }),
			field("cc", "Cc", { value: start.cc ?? "" }),
			field("bcc", "Bcc"),
			field("subject", "Subject", { value: start.subject
				?? "" })),
		own, text, list, error,
		h("div", { class: "buttons" }, send,
			h("label", { for: "attach", class: "button" },
				"Attach files"), chooser,
			h("button", { type: "button", onclick: draft },
				"Save draft"),
			h("span", { class: "space" }),
			h("button", { type: "button", onclick: leave },
				"Discard")));
	const dialog = h("dialog", { class: "compose",
		"aria-labelledby": "compose-title", onclose: () => dialog.remove(),
		oncancel: e => {
			e.preventDefault();
			leave();
		} }, form);
	const input = id => form.elements[id].value.trim();

	function showFiles() {
		list.replaceChildren(...files.map((f, i) => h("li", {}, f.name,
			" (", octets(f.size), ") ",
			h("button", { type: "button", class: "plain",
				"aria-label": "Remove " + f.name, onclick: () => {
					files.splice(i, 1);
					showFiles();
				} }, "✕"))));
	}
	function attach() {
		files.push(...chooser.files);
		chooser.value = "";
		if (files.reduce((n, f) => n + f.size, 0) > TOTAL_MAX) {
			error.textContent = "Attachments are limited to " +
				octets(TOTAL_MAX) + " together";
			files.length = 0;
		}
		showFiles();
	}
	function isTouched() {
		return text.value !== (start.text ?? "") || files.length > 0;
	}
	function leave() {
		if (!isTouched() || confirm("Discard this message?"))
			dialog.close();
	}
	async function message() {
		return { from: input("from"), to: split(input("to")),
			cc: split(input("cc")), bcc: split(input("bcc")),
			subject: input("subject"), text: text.value,
			answers: start.answers,
			attachments: await Promise.all(files.map(async f => ({
				filename: f.name,
				type: /^(?!multipart|message)[\w.+-]+\/[\w.+-]+$/
					.test(f.type) ? f.type
					: "application/octet-stream",
				content: await base64(f) }))) };
	}
	async function hand(path, said) {
		send.disabled = true;
		error.textContent = "";
		try {
			await post(path, await message());
			dialog.close();
			say(said);
		} catch (e) {
			error.textContent = e.message;
		}
		send.disabled = false;
	}
	function submit(event) {
		event.preventDefault();
		return hand("/send", "Sent");
	}
	function draft() {
		return hand("/drafts", "Kept in Drafts");
	}

	get("/outside").then(({ outside }) => own.replaceChildren(
		...[session.account, ...outside.filter(o => o.smtp !== null ||
			o.protocol === "gmail").map(o => o.address)]
			.map(a => h("option", { value: a }))), () => {});
	document.body.append(dialog);
	dialog.showModal();
	(start.to ? text : form.elements.to).focus();
	text.setSelectionRange(0, 0);
}

function quoted(m) {
	const lines = (m.text ?? m.preview ?? "").replace(/\r/g, "")
		.replace(/\n+$/, "").split("\n");

	return lines.map(l => "> " + l).join("\n");
}

const again = (prefix, subject) => subject?.toLowerCase()
	.startsWith(prefix.toLowerCase()) ? subject
	: prefix + " " + (subject ?? "");

export function reply(session, box, m, all) {
	const to = m.reply_to.length > 0 ? m.reply_to : m.from;
	const known = new Set([session.account, ...to.map(a => a.address)]);
	const cc = all ? [...m.to, ...m.cc].filter(a => !known.has(a.address))
		: [];

	compose(session, { title: "Reply", to: to.map(address).join(", "),
		cc: cc.map(address).join(", "),
		subject: again("Re:", m.subject),
		answers: { mailbox: box, uid: m.uid },
		text: "\n\n" + address(m.from[0] ?? { address: "Somebody" }) +
			" wrote on " + whenExactly(m.date).textContent + ":\n" +
			quoted(m) + "\n" });
}

export function forward(session, m) {
	compose(session, { title: "Forward", subject: again("Fwd:", m.subject),
		text: "\n\n---------- Forwarded message ----------\nFrom: " +
			m.from.map(address).join(", ") + "\nDate: " +
			whenExactly(m.date).textContent + "\nSubject: " +
			(m.subject ?? "") + "\nTo: " +
			m.to.map(address).join(", ") + "\n\n" +
			(m.text ?? m.preview ?? "").replace(/\r/g, "") });
}

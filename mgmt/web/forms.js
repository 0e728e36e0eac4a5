// SPDX-License-Identifier: ISC
// What the pages of settings and of the admin are made of.
import { h, fill, say, whenExactly } from "./dom.js";

export function page(where, title, ...children) {
	document.title = title + " – pneu";
	fill(where, h("section", { class: "page" },
		h("h2", { tabindex: "-1" }, title), ...children));
}

// A label and its input; `note` is read out with it.
export function field(id, label, props = {}, note = null) {
	const { tag = "input", options, ...rest } = props;
	const input = options
		? h("select", { id, name: id, ...rest }, options.map(o =>
			h("option", { value: o[0], selected: o[0] === rest.value },
				o[1])))
		: h(tag, { id, name: id, type: tag === "input" ? "text" : null,
			autocomplete: "off", "aria-describedby": note
				? id + "-note" : null, ...rest });

	return h("div", { class: rest.type === "checkbox" ? "field check"
		: "field" }, h("label", { for: id }, label), input,
	note ? h("p", { class: "note", id: id + "-note" }, note) : null);
}

export const choice = (id, label, value, options, note) =>
	field(id, label, { value, options }, note);
export const check = (id, label, on, note) =>
	field(id, label, { type: "checkbox", checked: on }, note);

export function table(caption, heads, rows, empty) {
	if (rows.length === 0)
		return h("p", { class: "quiet" }, empty);
	return h("div", { class: "scroll", tabindex: "0", role: "region",
		"aria-label": caption }, h("table", {},
	h("caption", { class: "sr" }, caption),
	h("thead", {}, h("tr", {}, heads.map(t =>
		h("th", { scope: "col" }, t || h("span", { class: "sr" },
			"What to do"))))),
	h("tbody", {}, rows.map(r => h("tr", {}, r.map((cell, i) => i === 0
		? h("th", { scope: "row" }, cell) : h("td", {}, cell)))))));
}

// What goes wrong is said, and the button waits meanwhile.
export function button(text, run, props = {}) {
	const b = h("button", { type: "button", ...props, onclick: async () => {
		b.disabled = true;
		try {
			await run();
		} catch (e) {
			say(e.message, true);
		}
		b.disabled = false;
	} }, text);

	return b;
}

export function form(props, run, ...children) {
	const error = h("p", { class: "error", role: "alert" });
	const f = h("form", { class: "sheet", ...props, onsubmit: async event => {
		event.preventDefault();
		const submit = event.submitter;

		error.textContent = "";
		if (submit)
			submit.disabled = true;
		try {
			await run(f.elements, submit);
		} catch (e) {
			error.textContent = e.message;
		}
		if (submit)
			submit.disabled = false;
	} }, ...children, error);

	return f;
}

export const time = iso => iso ? whenExactly(iso) : "never";
export const enc = encodeURIComponent;

// A secret that is shown once.
export const shownOnce = (what, secret) => h("p", { class: "bar", role:
	"status" }, what + " Copy it now, it is not shown again: ",
h("code", { class: "secret" }, secret));

// "1.5 GiB" as octets; "" is no limit.
export function octetsOf(text) {
	const m = /^\s*([\d.]+)\s*([kmgt]?)i?b?\s*$/i.exec(text);

	if (text.trim() === "")
		return null;
	if (m === null)
		throw new Error(text + " is not a size, like 500 MB or 2 GB");
	return Math.round(Number(m[1]) * 1024 ** " kmgt".indexOf(
		m[2].toLowerCase() || " "));
}
export const numberOf = text => text.trim() === "" ? null : Number(text);
export const listOf = text => text.split(/[\s,;]+/).filter(s => s !== "");

// SPDX-License-Identifier: ISC
// Elements without markup in strings: what mail says is only ever text.

export function h(tag, props, ...children) {
	const e = document.createElement(tag);

	for (const [name, value] of Object.entries(props ?? {})) {
		if (value === undefined || value === null || value === false)
			continue;
		if (name.startsWith("on"))
			e.addEventListener(name.slice(2), value);
		else if (name === "class")
			e.className = value;
		else if (name === "value")
			e.value = value;
		else
			e.setAttribute(name, value === true ? "" : value);
	}
	e.append(...children.flat(3).filter(c =>
		c !== null && c !== undefined && c !== false));
	return e;
}

export function fill(parent, ...children) {
	parent.replaceChildren(...children.flat(3).filter(c =>
		c !== null && c !== undefined && c !== false));
	return parent;
}

// Said aloud by screen readers, and shown for a while.
let timer;
export function say(text, isError = false) {
	const e = document.getElementById("say");

	e.textContent = text;
	e.className = text === "" ? "" : isError ? "shown error" : "shown";
	clearTimeout(timer);
	if (text !== "")
		timer = setTimeout(() => say(""), isError ? 10000 : 4000);
}

const time = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric",
	month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full",
	timeStyle: "short" });

export function when(iso) {
	const d = new Date(iso), now = new Date();
	const text = d.toDateString() === now.toDateString() ? time.format(d)
		: d.getFullYear() === now.getFullYear() ? day.format(d)
		: full.format(d);

	return h("time", { datetime: iso, title: exact.format(d) }, text);
}

export function whenExactly(iso) {
	return h("time", { datetime: iso }, exact.format(new Date(iso)));
}

export function octets(n) {
	const units = ["B", "KiB", "MiB", "GiB"];
	let i = 0;

	for (; n >= 1024 && i < units.length - 1; i++)
		n /= 1024;
	return (i === 0 ? n : n.toFixed(n < 10 ? 1 : 0)) + " " + units[i];
}

export function person(a) {
	return a === undefined ? "(nobody)" : a.name || a.address || "(nobody)";
}
export function address(a) {
	return a.name ? a.name + " <" + a.address + ">" : a.address;
}

// SPDX-License-Identifier: ISC
// For admins: how the system is, what waits in the queue, what became of what.
import { h, say, octets } from "./dom.js";
import { get, post, remove } from "./api.js";
import { page, table, button, time, enc } from "./forms.js";

const NS = "http://www.w3.org/2000/svg";
const spans = { "60": ["an hour", 1], "360": ["6 hours", 5],
	"1440": ["a day", 20] };
const graphs = [
	["Mail", [["received", "received"], ["submitted", "sent by users"],
		["stored", "put into mailboxes"]]],
	["Queue", [["queued", "in the queue"]]],
	["To other servers", [["relayed", "delivered"],
		["deferred", "to be tried again"]]],
	["Refused", [["refused", "refused"],
		["sign_ins_failed", "failed sign-ins"]]],
	["Connections", [["connections", "connections"],
		["signed_in", "sign-ins"]]],
];

/* --- graphs: SVG by hand --- */

function svg(tag, props, ...children) {
	const e = document.createElementNS(NS, tag);

	for (const [k, v] of Object.entries(props))
		e.setAttribute(k, v);
	e.append(...children);
	return e;
}

// Lines, broken where nothing is known.
function line(values, max, i) {
	let d = "", pen = "M";

	values.forEach((v, at) => {
		if (v === null) {
			pen = "M";
			return;
		}
		d += pen + (at * 600 / Math.max(1, values.length - 1)).toFixed(1) +
			" " + (118 - v * 110 / max).toFixed(1);
		pen = "L";
	});
	return svg("path", { d, class: "line line" + i, fill: "none" });
}

function graph([title, lines], got) {
	const series = lines.map(([name]) => got.series[name]);
	const known = series.flat().filter(v => v !== null);
	const max = Math.max(1, ...known);
	const sums = lines.map(([name, words], i) => {
		const v = series[i].filter(x => x !== null);
		const n = name === "queued" ? v.at(-1) ?? "?" : v.reduce((a, b) =>
			a + b, 0);

		return words + ": " + n;
	});
	const text = title + ". " + sums.join(", ") + ".";

	return h("figure", {}, h("figcaption", {}, title),
		svg("svg", { viewBox: "0 0 600 120", role: "img", "aria-label":
			text, preserveAspectRatio: "none" },
		svg("path", { d: "M0 118H600M0 63H600M0 8H600", class: "grid" }),
		...series.map((v, i) => line(v, max, i))),
		h("p", { class: "legend" }, h("span", { class: "quiet" },
			"at most " + max + " in " + (got.step_seconds / 60) + " min"),
		sums.map((s, i) => h("span", { class: "key key" + i }, s))));
}

function programs(all) {
	return table("Programs", ["Program", "State", "Listens at"],
		Object.entries(all).map(([name, p]) => [name, h("span", { class:
			"badge " + p.status }, p.status), p.sockets.map(s =>
			h("div", { class: s.status === "failed" ? "error" : "" },
				s.protocol + " " + s.address + (s.status === "failed"
					? ": " + s.said : s.status === "off" ? " (off)"
						: "")))]), "None.");
}

export async function showStatus(where, context, args, query) {
	const minutes = spans[query] ? query : "60";
	const got = await get("/admin/status?minutes=" + minutes);

	page(where, "Status of " + got.hostname,
		h("p", {}, h("span", { class: "badge " + got.status }, got.status
			=== "ok" ? "All programs answer" : "Not all programs answer"),
		" pneu " + got.version),
		h("p", { class: "row" }, "The last ", Object.entries(spans).map(
			([m, [words]]) => h("a", { href: "#/status?" + m,
				class: "button", "aria-current": m === minutes
					? "true" : null }, words))),
		h("div", { class: "graphs" }, graphs.map(g => graph(g, got.stats))),
		h("h3", {}, "Programs"), programs(got.programs));
	const title = where.querySelector("h2");

	setTimeout(() => {
		if (title.isConnected && !document.hidden)
			showStatus(where, context, args, query).catch(e =>
				say(e.message, true));
	}, 30000);
}

/* --- the queue --- */

function orders(m, again) {
	const at = "/admin/queue/" + enc(m.id);
	const order = (name, said) => async () => {
		await post(at + "/" + name, {});
		await again();
		say(said);
	};

	return h("div", { class: "buttons" },
		m.held ? button("Release", order("release", "Released"),
			{ "aria-label": "Release " + m.id })
		: [button("Try now", order("retry", "It is tried now"),
			{ "aria-label": "Try now " + m.id }),
		button("Hold", order("hold", "Held"), { "aria-label": "Hold " +
			m.id })],
		button("Remove", async () => {
			if (!confirm("Remove this message? Its sender is not told."))
				return;
			await remove(at);
			say("Removed");
			location.hash = "#/queue";
			await again();
		}, { "aria-label": "Remove " + m.id }));
}

const waiting = m => m.recipients.map(r => h("div", {}, r.address, r.reply
	? h("div", { class: "quiet" }, r.reply) : null));

async function oneQueued(where, id) {
	const m = await get("/admin/queue/" + enc(id));

	page(where, "Message " + m.id,
		h("dl", { class: "header" }, [["From", m.from || "<>"],
			["Size", octets(m.octets)], ["Arrived", time(m.arrived)],
			["Next attempt", m.held ? "held" : time(m.next_attempt)],
			["Attempts", String(m.attempts)], ["Trace", m.trace ? h("a",
				{ href: "#/why?" + enc(m.trace) }, m.trace) : "–"]]
			.map(([k, v]) => h("div", {}, h("dt", {}, k),
				h("dd", {}, v)))),
		orders(m, () => oneQueued(where, id).catch(() => {})),
		h("h3", {}, "Recipients"),
		table("Recipients", ["Recipient", "State", "Reply", "By"],
			m.recipients.map(r => [r.address, r.state, r.reply,
				r.relay]), "None."),
		h("p", {}, h("a", { class: "button", href: "#/queue" },
			"Back to all")));
}

export async function showQueue(where, context, [id], query) {
	if (id)
		return oneQueued(where, id);
	const got = await get("/admin/queue" + (query ? "?cursor=" +
		enc(query) : ""));
	const again = () => showQueue(where, context, [], query);

	page(where, "Queue",
		h("p", {}, got.total === 0 ? "Nothing waits."
			: got.total + (got.total === 1 ? " message, " : " messages, ") +
				got.held + " held."),
		table("Messages in the queue", ["Message", "From", "For",
			"Arrived", "Next attempt", ""], got.messages.map(m => [
			h("a", { href: "#/queue/" + enc(m.id) }, m.id),
			m.from || "<>", waiting(m), time(m.arrived), m.held ? "held"
				: time(m.next_attempt), orders(m, again)]),
		"The queue is empty."),
		h("p", { class: "row" }, button("Look again", again), got.next
			? h("a", { class: "button", href: "#/queue?" + enc(got.next) },
				"Further ones") : null));
	return undefined;
}

/* --- what became of it --- */

export async function showWhy(where, context, args, query) {
	const got = query ? await get("/admin/why?last=20&about=" + enc(query))
		: null;

	page(where, "What became of it",
		h("form", { class: "row", role: "search", onsubmit: e => {
			e.preventDefault();
			location.hash = "#/why?" + enc(e.target.elements.about
				.value.trim());
		} }, h("label", { for: "about" }, "An address, a Message-ID, an IP "
			+ "address, or an id of the log"),
		h("input", { id: "about", type: "search", required: true, value:
			query ?? "" }), h("button", { class: "primary" }, "Ask")),
		got === null ? null : got.journeys.length === 0
			? h("p", {}, "Nothing was found.")
			: got.journeys.toReversed().map(j => h("article", { class:
				"journey" }, h("h3", {}, j.headline), h("ol", {},
				j.records.map(r => h("li", {}, h("time", { datetime:
					r.time, class: "quiet" }, r.time.slice(11, 23)),
				" ", h("b", {}, r.program), " ", r.words))))),
		got?.older > 0 ? h("p", { class: "quiet" }, got.older +
			" older ones are not shown.") : null);
}

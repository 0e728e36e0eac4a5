// SPDX-License-Identifier: ISC
// Mail as it arrives, in all mailboxes.
import { h, fill, person, whenExactly } from "./dom.js";

const arrived = [];
const MOST = 200;

export function noteArrival(m) {
	arrived.unshift({ ...m, at: new Date().toISOString() });
	arrived.length = Math.min(arrived.length, MOST);
}

export function showMonitor(where, boxName, state) {
	document.title = "Monitor – pneu";
	fill(where, h("section", { class: "page" },
		h("h2", { tabindex: "-1" }, "Monitor"),
		h("p", {}, "Mail appears here as it arrives. ",
			h("span", { class: "state " + state }, state === "connected"
				? "Listening." : "No connection; trying again.")),
		h("table", {},
			h("thead", {}, h("tr", {}, ["Arrived", "From", "Subject",
				"Mailbox"].map(t => h("th", { scope: "col" }, t)))),
			h("tbody", {}, arrived.map(m => h("tr", {},
				h("td", {}, whenExactly(m.at)),
				h("td", {}, person(m.from?.[0])),
				h("td", {}, h("a", { href: "#/box/" + m.mailbox +
					"/" + m.uid }, m.subject || "(no subject)")),
				h("td", {}, boxName(m.mailbox)))))),
		arrived.length === 0 ? h("p", { class: "quiet" },
			"Nothing has arrived since this page was opened.") : null));
}

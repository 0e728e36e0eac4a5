// SPDX-License-Identifier: ISC
// Sessions and tokens of the account.
import { h, fill, say, whenExactly } from "./dom.js";
import { get, post, remove } from "./api.js";

export async function showSettings(where, session, signOut) {
	const { tokens } = await get("/tokens");
	const name = h("input", { id: "token-name", type: "text", required: true,
		placeholder: "backup script" });
	const made = h("p", { role: "status" });
	const scope = h("select", { id: "token-scope" },
		h("option", { value: "read" }, "read mail"),
		h("option", { value: "read write" }, "read and change mail"),
		h("option", { value: "send" }, "send mail"),
		h("option", { value: "read write send" }, "read, change, send"));

	async function create(event) {
		event.preventDefault();
		try {
			const got = await post("/tokens", { name: name.value,
				scopes: scope.value.split(" ") });

			await showSettings(where, session, signOut);
			where.querySelector(".made").replaceChildren(
				"Copy it now, it is not shown again: ",
				h("code", {}, got.token));
		} catch (e) {
			say(e.message, true);
		}
	}
	async function end(t) {
		try {
			await remove("/tokens/" + t.id);
			if (t.id === session.id)
				return signOut();
			await showSettings(where, session, signOut);
		} catch (e) {
			say(e.message, true);
		}
		return undefined;
	}

	made.className = "made";
	document.title = "Access – pneu";
	fill(where, h("section", { class: "page" },
		h("h2", { tabindex: "-1" }, "Access to ", session.account),
		h("p", {}, "All of this ends when a password of the account is "
			+ "changed."),
		h("table", {},
			h("thead", {}, h("tr", {}, ["Name", "May", "Since", "Until",
				"What to do"].map(t => h("th", { scope: "col" },
				t)))),
			h("tbody", {}, tokens.map(t => h("tr", {},
				h("td", {}, t.name || (t.session ? "session"
					: "token"), t.id === session.id
					? " (this one)" : ""),
				h("td", {}, t.scopes.join(", ")),
				h("td", {}, whenExactly(t.created)),
				h("td", {}, whenExactly(t.expires)),
				h("td", {}, h("button", { type: "button",
					"aria-label": "End " + (t.name || t.id),
					onclick: () => end(t) }, "End")))))),
		h("h3", {}, "A token for a program"),
		h("form", { class: "row", onsubmit: create },
			h("label", { for: "token-name" }, "Name"), name,
			h("label", { for: "token-scope" }, "May"), scope,
			h("button", { class: "primary" }, "Make")), made));
}

// SPDX-License-Identifier: ISC
// For admins: accounts, domains and addresses.
import { h, say, octets } from "./dom.js";
import { get, post, patch, remove } from "./api.js";
import { page, field, choice, check, table, button, form, time, enc, shownOnce,
	octetsOf, numberOf, listOf } from "./forms.js";

const size = n => n === 0 ? "" : octets(n);
const number = n => n === 0 ? "" : String(n);
const accountLink = a => "#/accounts/" + enc(a.address);

/* --- accounts --- */

async function allAccounts(where, query) {
	const got = await get("/admin/accounts?limit=200" + (query ? "&q=" +
		enc(query) : ""));
	const rows = got.accounts;

	page(where, "Accounts",
		h("form", { class: "row", role: "search", onsubmit: e => {
			e.preventDefault();
			location.hash = "#/accounts?" + enc(e.target.elements[
				"find-account"].value.trim());
		} }, h("label", { for: "find-account" }, "Find"),
		h("input", { id: "find-account", type: "search", value: query ??
			"" }), h("button", {}, "Find")),
		table("Accounts", ["Account", "Name", "Quota", "State"],
			rows.map(a => [h("a", { href: accountLink(a) }, a.address),
				a.name, size(a.quota_octets), a.disabled ? "disabled"
					: a.admin ? "admin" : "active"]),
			"None was found."),
		got.next ? h("p", { class: "quiet" }, "And more: search for them.")
			: null,
		h("h3", { id: "add-account" }, "Add an account"),
		form({ "aria-labelledby": "add-account" }, async e => {
			const made = await post("/admin/accounts", {
				address: e.address.value.trim(),
				name: e["account-name"].value.trim(),
				password: e["first-password"].value,
				quota_octets: octetsOf(e.quota.value) });

			location.hash = accountLink(made);
		}, field("address", "Address", { type: "email", required: true,
			autocapitalize: "none" }),
		field("account-name", "Name"),
		field("first-password", "First password", { type: "password",
			required: true, autocomplete: "new-password" }),
		field("quota", "Quota", { placeholder: "2 GB" },
			"Empty: none."),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Add"))));
}

async function oneAccount(where, context, address) {
	const at = "/admin/accounts/" + enc(address), a = await get(at);
	const out = h("div", {});
	const own = a.address === context.session.account;

	page(where, a.address,
		h("dl", { class: "header" }, [["Since", time(a.created)],
			["Passwords", a.passwords.join(", ") || "none"],
			["Accounts elsewhere", String(a.outside)],
			["Sealed mail", a.has_key ? "has a key pair" : "no"]]
			.map(([k, v]) => h("div", {}, h("dt", {}, k),
				h("dd", {}, v)))),
		form({}, async e => {
			await patch(at, { name: e["account-name"].value.trim(),
				disabled: e.disabled.checked, admin: e.admin.checked,
				reply_as: e["reply-as"].checked,
				quota_octets: octetsOf(e.quota.value),
				quota_messages: numberOf(e["quota-messages"].value),
				encryption: e.encryption.value,
				send_as: listOf(e["send-as"].value) });
			await oneAccount(where, context, address);
			say("Saved");
		}, field("account-name", "Name", { value: a.name }),
		field("quota", "Quota", { value: size(a.quota_octets),
			placeholder: "2 GB" }, "Empty: none."),
		field("quota-messages", "Messages at most", { type: "number",
			min: "1", value: number(a.quota_messages) }),
		choice("encryption", "New mail is kept", a.encryption, [
			["default", "as the system does"], ["none", "unencrypted"],
			["server", "encrypted on the server"],
			["account", "sealed to the account"]]),
		field("send-as", "May also send as", { value:
			a.send_as.join(", ") }, "Addresses, or @domain."),
		check("reply-as", "Answers as the address that was written to",
			a.reply_as),
		check("admin", "Is an admin", a.admin),
		check("disabled", "Is disabled: gets no mail, cannot sign in",
			a.disabled),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Save"), h("a", { class: "button", href: "#/accounts" },
			"Back to all"))),
		h("h3", {}, "Other"),
		h("div", { class: "buttons" },
			button("New password", async () => {
				if (!confirm("Make a new password for " + a.address +
					"? The old one is no good any more."))
					return;
				const got = await post(at + "/password", {});

				out.replaceChildren(shownOnce("The new password of " +
					a.address + ".", got.password));
			}),
			own ? null : button("Remove the account", async () => {
				if (!confirm("Remove " + a.address + "? Its mail "
					+ "stays on the disk."))
					return;
				await remove(at);
				location.hash = "#/accounts";
				say("Removed");
			})), out);
}

export async function showAccounts(where, context, [address], query) {
	if (address)
		await oneAccount(where, context, address);
	else
		await allAccounts(where, query);
}

/* --- domains and addresses --- */

export async function showDomains(where, context) {
	const [{ domains }, { addresses }] = await Promise.all([
		get("/admin/domains"), get("/admin/addresses")]);
	const again = () => showDomains(where, context);

	page(where, "Domains",
		table("Domains", ["Domain", "Accounts", "Addresses",
			"Everything else goes to", "Quota", "State", ""],
		domains.map(d => [d.name, String(d.accounts), String(d.addresses),
			d.catch_all.join(", "), size(d.quota_octets), d.disabled
				? "disabled" : "active", h("div", { class: "buttons" },
				button("Change", () => changeDomain(d, again), {
					"aria-label": "Change " + d.name }),
				button("Remove", async () => {
					if (!confirm("Remove " + d.name + "?"))
						return;
					await remove("/admin/domains/" +
						enc(d.name));
					await again();
				}, { "aria-label": "Remove " + d.name }))]),
		"There are none yet."),
		form({ class: "row" }, async e => {
			await post("/admin/domains", { name: e["domain-name"].value
				.trim() });
			await again();
		}, h("label", { for: "domain-name" }, "Add a domain"),
		h("input", { id: "domain-name", required: true, placeholder:
			"example.org", autocapitalize: "none" }),
		h("button", { class: "primary" }, "Add")),
		h("h3", {}, "Other addresses"),
		table("Aliases and blocked addresses", ["Address", "Goes to", ""],
			addresses.map(a => [a.address, a.blocked ? "blocked"
				: a.targets.join(", "), button("Remove", async () => {
				await remove("/admin/addresses/" + enc(a.address));
				await again();
			}, { "aria-label": "Remove " + a.address })]),
			"There are none."),
		form({}, async e => {
			const targets = listOf(e.targets.value);

			await post("/admin/addresses", { address: e.alias.value
				.trim(), ...targets.length > 0 ? { targets }
				: { blocked: true } });
			await again();
		}, field("alias", "Add an address", { type: "email",
			required: true, autocapitalize: "none" }),
		field("targets", "Its mail goes to", {},
			"Addresses. Empty: it is blocked."),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Add"))));
}

function changeDomain(d, again) {
	const dialog = h("dialog", { "aria-labelledby": "domain-title",
		onclose: () => dialog.remove() },
	h("h2", { id: "domain-title" }, d.name),
	form({}, async e => {
		await patch("/admin/domains/" + enc(d.name), {
			catch_all: listOf(e["catch-all"].value),
			quota_octets: octetsOf(e["domain-quota"].value),
			disabled: e["domain-disabled"].checked });
		dialog.close();
		await again();
	}, field("catch-all", "Everything else goes to", { value:
		d.catch_all.join(", ") }, "Empty: it is refused."),
	field("domain-quota", "Quota of all its accounts", { value:
		size(d.quota_octets) }),
	check("domain-disabled", "Is disabled", d.disabled),
	h("div", { class: "buttons" }, h("button", { class: "primary" },
		"Save"), h("button", { type: "button", onclick: () =>
		dialog.close() }, "Cancel"))));

	document.body.append(dialog);
	dialog.showModal();
}

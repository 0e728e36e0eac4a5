// SPDX-License-Identifier: ISC
// The account's own settings and passwords.
import { h, say } from "./dom.js";
import { get, post, patch, remove, signIn } from "./api.js";
import { page, field, check, table, button, form, time, enc, shownOnce }
	from "./forms.js";

const uses = [["imap", "IMAP"], ["pop3", "POP3"],
	["submission", "sending by a mail program"], ["api", "this page, the API"]];

// All sessions end with a change of passwords; this one begins anew.
async function anew(context, password) {
	await context.restart(await signIn(context.session.account, password));
}

function changePassword(context) {
	return form({ "aria-labelledby": "change-title" }, async e => {
		if (e.password.value !== e.repeated.value)
			throw new Error("The two new passwords are not the same");
		await post("/account/password", { current: e.current.value,
			password: e.password.value });
		await anew(context, e.password.value);
		say("The password is another one now");
	}, field("current", "Password until now", { type: "password",
		autocomplete: "current-password", required: true }),
	field("password", "New password", { type: "password", minlength: "8",
		autocomplete: "new-password", required: true }),
	field("repeated", "New password again", { type: "password",
		autocomplete: "new-password", required: true }),
	h("div", { class: "buttons" }, h("button", { class: "primary" },
		"Change the password")));
}

function addPassword(context) {
	return form({ "aria-labelledby": "device-title" }, async e => {
		const scopes = uses.map(u => u[0]).filter(s => e["use-" + s].checked);
		const current = e["device-current"].value;
		const made = await post("/account/passwords", { current,
			name: e.device.value.trim(), scopes });

		await anew(context, current);
		// The page is another one now.
		document.querySelector("main .made").replaceChildren(shownOnce(
			"This is the password of " + made.name + ".",
			made.password));
	}, field("device", "Name", { required: true, placeholder: "phone" }),
	h("fieldset", {}, h("legend", {}, "It is for"), uses.map(([id, text]) =>
		check("use-" + id, text, id !== "api"))),
	field("device-current", "Your own password", { type: "password",
		autocomplete: "current-password", required: true }),
	h("div", { class: "buttons" }, h("button", { class: "primary" },
		"Make one")));
}

export async function showAccount(where, context) {
	const [a, { passwords }] = await Promise.all([get("/account"),
		get("/account/passwords")]);

	page(where, "Settings of " + a.address,
		form({}, async e => {
			await patch("/account", { name: e["own-name"].value.trim(),
				reply_as: e["reply-as"].checked });
			say("Saved");
		}, field("own-name", "Your name", { value: a.name,
			autocomplete: "name" }),
		check("reply-as", "Answer as the address that was written to",
			a.reply_as, "For accounts that get all mail of a domain."),
		h("div", { class: "buttons" }, h("button", { class: "primary" },
			"Save"))),
		h("p", { class: "quiet" }, "New mail is kept ",
			a.encryption_now === "account" ? "sealed to this account: "
				+ "only its passwords open it."
			: a.encryption_now === "server" ? "encrypted on the server."
			: "unencrypted."),
		h("h3", { id: "change-title" }, "Password"),
		changePassword(context),
		h("h3", { id: "device-title" }, "Passwords of devices"),
		h("p", {}, "Each device or program can have one of its own, which "
			+ "can be taken away without changing the others."),
		h("div", { class: "made" }),
		table("Passwords", ["Name", "For", "Since", "Last used", ""],
			passwords.map(p => [p.main ? "main password" : p.name,
				p.scopes.join(", "), time(p.created), time(p.used),
				p.main ? "" : button("Remove", async () => {
					if (!confirm("Remove the password " + p.name
						+ "? You will have to sign in again."))
						return;
					await remove("/account/passwords/" +
						enc(p.name));
					context.ended("The password is removed. "
						+ "Please sign in again.");
				}, { "aria-label": "Remove " + p.name })]), "None."),
		addPassword(context));
}

// SPDX-License-Identifier: ISC
import { h, fill } from "./dom.js";
import { signIn } from "./api.js";

export function showSignIn(app, done, why) {
	const error = h("p", { class: "error", role: "alert" }, why ?? "");
	const name = h("input", { id: "address", name: "address",
		type: "text", inputmode: "email", autocomplete: "username",
		autocapitalize: "none", spellcheck: "false", required: true });
	const password = h("input", { id: "password", name: "password",
		type: "password", autocomplete: "current-password",
		required: true });
	const button = h("button", { class: "primary" }, "Sign in");

	async function submit(event) {
		event.preventDefault();
		button.disabled = true;
		error.textContent = "";
		try {
			done(await signIn(name.value.trim(), password.value));
		} catch (e) {
			error.textContent = e.message;
			password.value = "";
			password.focus();
		}
		button.disabled = false;
	}

	document.title = "Sign in – pneu";
	fill(app, h("main", { class: "signin" },
		h("form", { onsubmit: submit, method: "post" },
			h("img", { src: "/web/icon.svg", alt: "", width: "56",
				height: "56" }),
			h("h1", {}, "pneu"),
			h("label", { for: "address" }, "Address"), name,
			h("label", { for: "password" }, "Password"), password,
			error, button)));
	name.focus();
}

// SPDX-License-Identifier: ISC
// What a person does on the page, in Chromium; person.mjs has the rest.
// HOSTILE: how many hostile mails stand in the mailbox "hostile".
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { ask, end, go, launch, open, person, shot, signIn } from "./person.mjs";

const { HOSTILE, POP3 } = process.env;
const axe = readFileSync(createRequire(import.meta.url).resolve(
	"axe-core/axe.min.js"), "utf8");

async function signingIn(page) {
	await shot(page, "sign-in");
	await signIn(page, "wrong");
	await page.waitForSelector("text=Wrong address or password");
	await signIn(page);
	await page.waitForSelector(".messages li");
	// The session outlives a reload; the token is out of reach of scripts.
	await page.reload();
	await page.waitForSelector(".messages li");
	assert.equal(await page.evaluate(() => document.cookie), "");
}

async function reading(page) {
	await page.click("text=Newsletter with pictures");
	const frame = page.frameLocator("iframe");

	await frame.locator("h1", { hasText: "Pneumatic news" }).waitFor();
	assert.equal(await frame.locator("img").first().getAttribute("src"),
		null);
	await page.waitForSelector("text=An image from elsewhere");
	await page.waitForSelector("text=report.pdf");
	await page.waitForSelector(
		".messages li:not(.unread) >> text=Newsletter with pictures");
	await shot(page, "message");
}

async function searching(page) {
	await page.keyboard.press("/");
	await page.keyboard.type("from:lovelace");
	await page.keyboard.press("Enter");
	await page.waitForSelector("text=Found in Inbox");
	await page.waitForSelector(".messages >> text=Ada Lovelace");
	assert.equal(await page.locator(".messages li").count(), 1);
	await page.click("nav >> text=Inbox");
	await page.waitForSelector(".messages >> text=Newsletter");
}

async function answering(page) {
	await page.click(".messages >> text=Plans for the engine");
	await page.waitForSelector("pre.text >> text=algebraical");
	await page.keyboard.press("r");
	await page.waitForSelector("dialog.compose");
	assert.equal(await page.inputValue("#to"), "Ada Lovelace <bob@example.test>");
	await page.keyboard.type("Thank you, from the page.");
	await page.setInputFiles("#attach", { name: "über.txt",
		mimeType: "text/plain", buffer: Buffer.from("attached") });
	await page.waitForSelector(".files >> text=über.txt");
	await shot(page, "write");
	await page.keyboard.press("Control+Enter");
	await page.waitForSelector("#say >> text=Sent");
	await page.waitForSelector("dialog", { state: "detached" });
	await ask("sent");
	await page.click("nav >> text=Sent");
	await page.waitForSelector(".messages >> text=Re: Plans for the engine");
	await page.click("nav >> text=Inbox");
	await page.waitForSelector(".messages >> text=Plans for the engine");
}

async function arriving(page) {
	await page.waitForSelector(".state.connected");
	await ask("deliver fresh");
	await page.waitForSelector(".messages li.unread >> text=A fresh one");
	await page.waitForSelector("#say >> text=A fresh one");
	await page.keyboard.press("m");
	await page.waitForSelector("h2 >> text=Monitor");
	await ask("deliver second");
	await page.waitForSelector("td >> text=A second one");
	await shot(page, "monitor");
	await page.click("nav >> text=Inbox");
}

async function keys(page) {
	await page.waitForSelector(".messages >> text=A second one");
	await page.keyboard.press("j");
	await page.waitForSelector("article h2 >> text=A second one");
	await page.keyboard.press("j");
	await page.waitForSelector("article h2 >> text=A fresh one");
	await page.keyboard.press("s");
	await page.waitForSelector(".messages [aria-current] .flag");
	await page.keyboard.press("e");
	await page.waitForSelector("#say >> text=Archived");
	await page.keyboard.press("?");
	await page.waitForSelector("dialog >> text=next message");
	await page.keyboard.press("Escape");
	await page.waitForSelector("dialog", { state: "detached" });
}

// Each is read in the page; none may do what it wants to.
async function hostile(page) {
	await page.click("nav >> text=hostile");
	await page.waitForSelector(".messages li");
	while (await page.isVisible("text=Older messages")) {
		const n = await page.locator(".messages li").count();

		await page.click("text=Older messages");
		await page.waitForFunction(
			k => document.querySelectorAll(".messages li").length > k, n);
	}
	const hrefs = await page.$$eval(".messages a",
		list => list.map(a => a.getAttribute("href")));

	assert.equal(hrefs.length, Number(HOSTILE));
	for (const href of hrefs) {
		await page.evaluate(h => {
			location.hash = h;
		}, href);
		const src = `/messages/${href.split("/")[3]}/html`;
		const frame = await page.waitForSelector(`iframe[src$="${src}"]`);
		const inner = await frame.contentFrame();

		await inner.waitForLoadState("load");
		for (const w of [page.mainFrame(), inner])
			assert.equal(await w.evaluate(() => window.hacked ?? null)
				.catch(() => null), null, href);
	}
}

async function access(page) {
	await page.click("nav >> text=Access");
	await page.waitForSelector("text=Access to alice@example.test");
	await page.fill("#token-name", "script");
	await page.click("text=Make");
	const token = await page.textContent(".made code");

	assert.equal(token.length, 43);
	await page.click("text=Sign out");
	await page.waitForSelector("#address");
	await page.reload();
	await page.waitForSelector("#address");
}

async function outside(page) {
	await go(page, "Accounts elsewhere");
	await page.click("text=Add an account");
	// A provider by its domain.
	await page.fill("#address", "someone@posteo.de");
	await page.click("text=Go on");
	await page.waitForSelector("summary >> text=posteo.de");
	await page.click("text=Back");
	// One that nothing is known of: it is said where that is.
	await page.fill("#address", "alice@nothing.invalid");
	await page.click("text=Go on");
	await page.waitForSelector("text=Say where it is");
	await page.fill("#user", "u");
	await page.fill("#password", "p");
	await page.selectOption("#protocol", "pop3");
	await page.fill("#host", "127.0.0.1");
	await page.fill("#port", POP3);
	await page.selectOption("#security", "none");
	await shot(page, "outside-add");
	await page.click("main >> text=/^Add$/");
	await page.waitForSelector("h2 >> text=alice@nothing.invalid");
	await page.click("text=/^Test$/");
	await page.waitForSelector("text=It works");
	await page.click("text=Fetch now");
	await page.waitForSelector(".badge.ok");
	await page.waitForSelector("dd >> text=1 message");
	await shot(page, "outside");
	// What is done with its mail: of POP3 it can be deleted there.
	assert.ok(!await page.isVisible("#sync-imap"));
	assert.ok(!await page.isVisible("#push"));
	await page.fill("#delete-after", "30");
	await page.click("main >> text=/^Save$/");
	await page.waitForSelector("#say >> text=Saved");
	assert.equal(await page.inputValue("#delete-after"), "30");
	await go(page, "Inbox", "").catch(() => {});
	await page.waitForSelector(
		".messages >> text=From an account elsewhere");
	await go(page, "Accounts elsewhere");
	await page.waitForSelector("th >> text=alice@nothing.invalid");
	await shot(page, "outside-list");
}

async function settings(page) {
	await go(page, "Settings", "Settings of alice@example.test");
	await page.fill("#own-name", "Alice Example");
	await page.click("main >> text=/^Save$/");
	await page.waitForSelector("#say >> text=Saved");
	await page.fill("#device", "phone");
	await page.fill("#device-current", "demo");
	await page.click("text=Make one");
	const made = await page.textContent(".made .secret");

	assert.match(made, /^(\w{5}-){3}\w{5}$/);
	await page.waitForSelector("th >> text=phone");
	await shot(page, "settings");
	await page.fill("#current", "demo");
	await page.fill("#password", "another one");
	await page.fill("#repeated", "another one");
	await page.click("text=Change the password");
	await page.waitForSelector("#say >> text=another one now");
	await page.fill("#current", "another one");
	await page.fill("#password", "demo again");
	await page.fill("#repeated", "demo again");
	await page.click("text=Change the password");
	await page.waitForSelector("#say >> text=another one now");
	person.password = "demo again";
}

async function notices(page) {
	await go(page, "Notices", "Notices of new mail");
	await page.fill("#url", "http://127.0.0.1:9/hook");
	await page.fill("#notice-name", "my script");
	await page.click("main >> text=/^Add$/");
	await page.waitForSelector(".bar .secret");
	await page.waitForSelector("th >> text=my script");
	await shot(page, "notices");
	await page.click('[aria-label="Remove my script"]');
	await page.waitForSelector("text=Nobody is told");
}

async function admin(page) {
	await go(page, "Accounts");
	await page.fill("#address", "carol@example.test");
	await page.fill("#first-password", "long enough");
	await page.fill("#quota", "2 GB");
	await page.click("main >> text=/^Add$/");
	await page.waitForSelector("h2 >> text=carol@example.test");
	assert.equal(await page.inputValue("#quota"), "2.0 GiB");
	await page.fill("#account-name", "Carol");
	await page.click("main >> text=/^Save$/");
	await page.waitForSelector("#say >> text=Saved");
	await shot(page, "account");
	await page.click("text=New password");
	await page.waitForSelector(".bar .secret");
	await go(page, "Accounts");
	await page.waitForSelector("td >> text=Carol");
	await shot(page, "accounts");
	await go(page, "Domains");
	await page.fill("#domain-name", "new.test");
	await page.click("main form.row >> text=/^Add$/");
	await page.waitForSelector("th >> text=new.test");
	await page.fill("#alias", "info@new.test");
	await page.fill("#targets", "alice@example.test");
	await page.click("main form.sheet >> text=/^Add$/");
	await page.waitForSelector("th >> text=info@new.test");
	await shot(page, "domains");
	await ask("queue");
	await go(page, "Queue");
	for (let i = 0; i < 100 && !await page.isVisible(
		"text=someone@away.test"); i++) {
		await page.click("text=Look again");
		await page.waitForTimeout(200);
	}
	await page.waitForSelector("td >> text=someone@away.test");
	await shot(page, "queue");
	await page.click("text=/^Hold$/");
	await page.waitForSelector("td >> text=held");
	await page.click("main th a");
	await page.waitForSelector("h3 >> text=Recipients");
	await page.click("text=/^Remove$/");
	await page.waitForSelector("text=The queue is empty");
	await go(page, "What became of it");
	await page.fill("#about", "someone@away.test");
	await page.click("text=/^Ask$/");
	await page.waitForSelector(".journey li");
	await shot(page, "why");
	await go(page, "Status", "Status of mx.example.test");
	await page.waitForSelector("figure svg");
	await page.waitForSelector(".legend >> text=/sent by users: [1-9]/");
	await shot(page, "status");
}

// Names of all controls, contrast, structure: axe-core's rules, and its own
// order of the focus. In a context of its own: the policy lets no foreign
// script in.
async function accessible() {
	const found = [];

	for (const colorScheme of ["light", "dark"]) {
		const page = await open({ bypassCSP: true, colorScheme });
		const check = async name => {
			await page.evaluate(axe);
			const { violations } = await page.evaluate(() =>
				globalThis.axe.run(document, { iframes: false }));

			for (const v of violations)
				found.push(`${name} (${colorScheme}): ${v.id}: ` +
					v.nodes.map(n => n.target.join(" ") + " " +
						n.failureSummary.split("\n")[1]).slice(0, 3)
						.join(" | "));
		};

		await check("sign in");
		await signIn(page);
		await page.waitForSelector(".messages li");
		await page.click(".messages >> text=Newsletter");
		await page.waitForSelector("iframe");
		await check("message");
		for (const [id, title] of [["outside", "Accounts elsewhere"],
			["outside/add", "Add an account"],
			["outside/alice@nothing.invalid", "alice@nothing.invalid"],
			["notices", "Notices"], ["settings", "Settings"],
			["access", "Access"], ["status", "Status"],
			["accounts", "Accounts"],
			["accounts/bob@example.test", "bob@example.test"],
			["domains", "Domains"], ["queue", "Queue"],
			["why?bob@example.test", "What became of it"],
			["monitor", "Monitor"]]) {
			await page.evaluate(to => {
				location.hash = "#/" + to;
			}, id);
			await page.waitForSelector(`main h2 >> text=${title}`);
			await check(id);
		}
		// By the tabulator alone: all of it is reached, in the order of
		// the page.
		await page.evaluate(() => document.activeElement.blur());
		const seen = [];

		for (let i = 0; i < 60; i++) {
			await page.keyboard.press("Tab");
			const at = await page.evaluate(() => {
				const e = document.activeElement;

				return e === document.body ? null : e.textContent.trim() ||
					e.getAttribute("aria-label") || e.id;
			});

			if (at === null)
				break;
			seen.push(at);
		}
		for (const want of ["Skip to the message", "Sign out", "Write",
			"Monitor", "Queue"])
			assert.ok(seen.includes(want), `${want}: ${seen}`);
		assert.ok(seen.indexOf("Sign out") < seen.indexOf("Write"));
		await page.context().close();
	}
	assert.deepEqual(found, []);
}

async function otherWidths() {
	const phone = await open({ viewport: { width: 390, height: 844 },
		hasTouch: true });

	await signIn(phone);
	await phone.waitForSelector(".messages li");
	assert.ok(await phone.evaluate(() =>
		document.documentElement.scrollWidth <= innerWidth), "too wide");
	await shot(phone, "phone");
	await phone.tap(".messages >> text=Newsletter");
	await phone.waitForSelector("iframe");
	assert.ok(!await phone.isVisible(".messages"));
	await phone.tap("text=← Back");
	await phone.waitForSelector(".messages li");
	for (const id of ["status", "accounts", "outside", "settings"]) {
		await phone.evaluate(to => {
			location.hash = "#/" + to;
		}, id);
		await phone.waitForSelector("main h2");
		await phone.waitForTimeout(300);
		assert.ok(await phone.evaluate(() =>
			document.documentElement.scrollWidth <= innerWidth),
		id + " is too wide");
	}
	await phone.evaluate(() => {
		location.hash = "#/status";
	});
	await phone.waitForSelector("figure svg");
	await shot(phone, "phone-status");
	await phone.context().close();
	const dark = await open({ colorScheme: "dark" });

	await signIn(dark);
	await dark.click("text=Newsletter");
	await dark.waitForSelector("iframe");
	await shot(dark, "dark");
	await dark.context().close();
}

await launch();
const page = await open();
for (const part of [signingIn, reading, searching, answering, arriving, keys,
	outside, settings, notices, admin, ...process.env.SHORT ? [] : [hostile],
	access])
	await part(page);
await accessible();
await otherWidths();
await end();

// SPDX-License-Identifier: ISC
// What a person does on the page, in Chromium. Told by the environment: PORT,
// SHOTS (a folder for screenshots, or empty), HOSTILE (how many hostile mails
// stand in the mailbox "hostile"). Asks test_page.py for mail by lines on
// standard output, and hears of it on standard input.
import assert from "node:assert/strict";
import readline from "node:readline";
import { chromium } from "playwright-core";

const { PORT, SHOTS, HOSTILE } = process.env;
const root = `http://127.0.0.1:${PORT}/`;
const browser = await chromium.launch({
	executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
	args: ["--no-sandbox"] });
const answers = readline.createInterface({ input: process.stdin })
	[Symbol.asyncIterator]();
const faults = [];

async function ask(what) {
	console.log(what);
	const { value } = await answers.next();

	assert.equal(value, "done");
}

// Any error of the page, any request to elsewhere, any dialog is a fault.
async function open(options = {}) {
	const context = await browser.newContext({
		viewport: { width: 1280, height: 800 }, ...options });
	const page = await context.newPage();

	page.setDefaultTimeout(60000);
	page.on("pageerror", e => faults.push("error: " + e.message));
	page.on("console", m => {
		if (m.type() === "error" && !m.text().includes("401"))
			faults.push("console: " + m.text());
	});
	page.on("dialog", async d => {
		if (d.type() !== "confirm")
			faults.push("dialog: " + d.message());
		await d.accept();
	});
	context.on("request", r => {
		if (!r.url().startsWith(root) && !r.url().startsWith("data:"))
			faults.push("request: " + r.url());
	});
	await page.goto(root);
	await page.waitForSelector("#address");
	return page;
}

async function signIn(page, password = "demo") {
	await page.fill("#address", "alice@example.test");
	await page.fill("#password", password);
	await page.keyboard.press("Enter");
}

async function shot(page, name) {
	if (SHOTS)
		await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

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
	await phone.context().close();
	const dark = await open({ colorScheme: "dark" });

	await signIn(dark);
	await dark.click("text=Newsletter");
	await dark.waitForSelector("iframe");
	await shot(dark, "dark");
	await dark.context().close();
}

const page = await open();
for (const part of [signingIn, reading, searching, answering, arriving, keys,
	hostile, access])
	await part(page);
await otherWidths();
await browser.close();
assert.deepEqual(faults, []);
console.log("good");
process.exit(0);

package console_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/secure-ota/secure-ota/internal/api"
	"github.com/secure-ota/secure-ota/manifest"
	"github.com/secure-ota/secure-ota/otatest"
	"github.com/secure-ota/secure-ota/trust"
)

// files writes what ota manifest and ota manifest sign leave beside a firmware
// file, and returns their names.
func (s *scene) files(deviceType, v string) (manifestFile, document, firmware string) {
	s.t.Helper()
	raw, doc, image := s.sign(deviceType, v, "Fixes the clock.", "CVE-2026-20113")
	dir := s.t.TempDir()
	for name, body := range map[string][]byte{"firmware.bin": image, "firmware.bin.manifest": raw, "firmware.bin.release": doc} {
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	firmware = filepath.Join(dir, "firmware.bin")
	return firmware + ".manifest", firmware + ".release", firmware
}

// The day's work: upload, plan, start, watch, pause, halt.
func TestADaysWorkInABrowser(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.populate(40)
	w := openWindow(t, s.URL, 1200, 900)
	w.login(s.Token)

	signed, document, firmware := s.files(otatest.DeviceType, "1.3.0")
	w.open("/releases/new")
	w.do(chromedp.SetUploadFiles("input[name=manifest]", []string{signed}),
		chromedp.SetUploadFiles("input[name=firmware]", []string{firmware}))
	w.click("form.stack button")
	w.see("Choose the release document")
	w.do(chromedp.SetUploadFiles("input[name=manifest]", []string{signed}), chromedp.SetUploadFiles("input[name=document]", []string{document}),
		chromedp.SetUploadFiles("input[name=firmware]", []string{firmware}))
	w.click("form.stack button")
	w.see("The release is published.", "sensor_v1 1.3.0", "CVE-2026-20113")
	identity, err := manifest.ParseDigest(filepath.Base(evaluate[string](w, "location.pathname")))
	if err != nil {
		t.Fatal(err)
	}
	release, err := s.Management().Release(t.Context(), identity)
	if err != nil {
		t.Fatal(err)
	}

	w.open("/new-rollout?release=" + identity.String())
	for field, value := range map[string]string{"name": "clock-fix", "filter": "keyset=1", "part1": "4", "soak1": "", "part2": "", "soak3": "1h"} {
		w.fill(field, value)
	}
	w.click("[name=gate1]")
	w.click("button.main")
	w.waitFor(`!!document.querySelector("#plan-h")`)
	w.see("fits")
	w.click("button[formaction]")
	w.see("It does nothing until it is started.", "draft")
	w.steer("start", "")
	w.waitFor(`document.querySelector("h1 .state").textContent === "running"`)

	evaluate[bool](w, "window.stay = true") // from here on the page stays: it is live
	taken := 0
	for _, id := range p.sensors {
		if taken < 4 && s.check(otatest.DeviceType, id, p.now, trust.BootConfirmed) {
			taken++
			s.update(otatest.DeviceType, id, p.now, release)
			w.see(fmt.Sprintf("%d of ", taken))
		}
	}
	if taken != 4 {
		t.Fatalf("%d devices were offered the release in its first stage", taken)
	}
	w.see("4 of 4 that were here")
	if !evaluate[bool](w, "window.stay === true") {
		t.Error("the page was loaded again")
	}
	w.steer("advance", "all is well")
	w.waitFor(`document.querySelector(".stages > li:nth-child(2)").matches(".open")`)
	w.steer("pause", "lunch")
	w.waitFor(`document.querySelector("h1 .state").textContent === "paused"`)
	w.see("lunch")
	w.steer("resume", "")
	w.waitFor(`document.querySelector("h1 .state").textContent === "running"`)
	evaluate[bool](w, "window.stay = true")
	w.click(`details:has([action$="/pause"]) summary`) // somebody is about to do something,
	halt(t, s.Management(), "clock-fix")               // and somebody else is faster
	w.waitFor(`document.querySelector("h1 .state").textContent === "halted" && !!document.querySelector("[action$='/resume']") && !document.querySelector("[action$='/pause']")`)
	if !evaluate[bool](w, "window.stay === true") {
		t.Error("the page was loaded again")
	}
	w.open("/")
	w.see("Rollout clock-fix is halted: smoke")
	w.isCalm()
}

func halt(t *testing.T, m api.Management, name string) {
	t.Helper()
	if _, err := m.ActOnRollout(t.Context(), name, "halt", "smoke"); err != nil {
		t.Fatal(err)
	}
}

// fill replaces what stands in a field.
func (w *window) fill(field, value string) {
	w.t.Helper()
	evaluate[string](w, `document.querySelector("[name=`+field+`]").value = `+quoteJS(value))
}

// steer does an action of a rollout's page.
func (w *window) steer(action, why string) {
	w.t.Helper()
	form := `form[action$="/` + action + `"]`
	w.do(chromedp.Click(`details:has(`+form+`) summary`, chromedp.NodeVisible))
	if why != "" {
		w.do(chromedp.SendKeys(form+` [name=why]`, why))
	}
	w.click(form + ` button`)
}

func (w *window) press(keys string) {
	w.t.Helper()
	w.do(chromedp.KeyEvent(keys))
}

// focused returns what has the keyboard's focus.
func (w *window) focused() string {
	w.t.Helper()
	return evaluate[string](w, `(e => e.getAttribute("href") || e.name || e.id || e.textContent.trim() || e.tagName)(document.activeElement)`)
}

// tabTo presses tab until something has the focus, and sees that each stop on
// the way can be seen.
func (w *window) tabTo(what string) {
	w.t.Helper()
	for range 150 {
		w.press(kb.Tab)
		if !evaluate[bool](w, `getComputedStyle(document.activeElement).outlineStyle !== "none"`) {
			w.t.Errorf("%s has the focus, and nobody sees it", w.focused())
		}
		if w.focused() == what {
			return
		}
	}
	w.t.Fatalf("the keyboard does not reach %s", what)
}

func TestTheKeyboardIsEnough(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.populate(30)
	w := openWindow(t, s.URL, 1200, 900)
	w.open("/")
	w.press(s.Token + kb.Enter) // the field has the focus
	w.see("Log out")

	w.press(kb.Tab)
	if got := w.focused(); got != "#main" {
		t.Errorf("the first stop is %s, want the link that skips the navigation", got)
	}
	w.tabTo("/devices")
	w.press(kb.Enter)
	w.waitFor(`location.pathname === "/devices" && document.readyState === "complete"`)
	w.tabTo("filter")
	w.press("label.ring=canary" + kb.Enter)
	w.see("2 devices")
	w.tabTo("/devices/sensor_v1/sn-1000")

	// What has the focus keeps it while the page renews itself.
	w.open("/devices")
	w.tabTo("/devices/sensor_v1/sn-1007")
	s.add(otatest.DeviceType, "sn-0001", nil)
	w.see("sn-0001")
	if got := w.focused(); got != "/devices/sensor_v1/sn-1007" {
		t.Errorf("after the page has renewed itself, %s has the focus", got)
	}
	// And a form that somebody fills in stays.
	w.do(chromedp.Click(`input[value="sensor_v1/sn-1007"]`))
	s.add(otatest.DeviceType, "sn-0002", nil)
	time.Sleep(5 * time.Second) // twice as long as until the page asks again
	if !evaluate[bool](w, `document.querySelector('input[value="sensor_v1/sn-1007"]').checked`) {
		t.Error("the checked box is not checked any more")
	}
	w.isCalm()
}

func TestItWorksWithoutScripts(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.populate(10)
	w := openWindow(t, s.URL, 1200, 900)
	call(w, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	w.login(s.Token)
	w.click(`nav a[href="/devices"]`)
	w.see("18 devices")
	w.do(chromedp.SendKeys("#filter", "label.ring=canary"), chromedp.Submit("#filter"))
	w.see("1 device")
	w.click(`input[value="sensor_v1/sn-1000"]`)
	w.click("fieldset button")
	w.see("hold 1 device?")
	w.do(chromedp.SendKeys("[name=why]", "storm"))
	w.click("button.main")
	w.see("The devices are changed.")
	if !device(t, s.System, "sn-1000").Hold {
		t.Error("the device is not held")
	}
	signed, document, firmware := s.files(otatest.DeviceType, "1.3.0")
	w.open("/releases/new")
	w.do(chromedp.SetUploadFiles("input[name=manifest]", []string{signed}), chromedp.SetUploadFiles("input[name=document]", []string{document}),
		chromedp.SetUploadFiles("input[name=firmware]", []string{firmware}))
	w.click("form.stack button")
	w.see("The release is published.")
	w.isCalm()
}

// every page of a scene, for looking at how it looks.
func (p past) pages() []string {
	return []string{
		"/", "/devices", "/devices?filter=state%3D", "/devices/sensor_v1/" + p.sensors[8], "/rollouts", "/new-rollout", "/rollouts/spring", "/rollouts/spring/devices",
		"/releases", "/releases/new", "/releases/" + p.next.Identity.String(), "/keys", "/audit", "/settings", "/nowhere",
	}
}

func TestAPhoneIsWideEnough(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.populate(40)
	s.spring(p)
	w := openWindow(t, s.URL, 360, 740, chromedp.EmulateMobile, chromedp.EmulateTouch)
	w.login(s.Token)
	for _, path := range p.pages() {
		w.open(path)
		if wide := evaluate[int](w, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); wide > 0 {
			t.Errorf("%s is %d pixels wider than the phone: %s", path, wide, evaluate[string](w, widest))
		}
		if small := evaluate[string](w, tooSmall); small != "" {
			t.Errorf("%s: too small for a finger: %s", path, small)
		}
	}
	w.isCalm()
}

// widest names what sticks out of the page.
const widest = `[...document.querySelectorAll("main *, header *")].filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth && !e.closest(".wide, nav, pre")).map(e => e.tagName + "." + e.className).join(" ")`

// tooSmall names buttons that are lower than 24 CSS pixels (WCAG 2.2, 2.5.8).
const tooSmall = `[...document.querySelectorAll("button, summary, .button, select, input:not([type=hidden]):not([type=checkbox]):not([type=radio])")]
	.filter(e => e.checkVisibility() && e.getBoundingClientRect().height < 24).map(e => e.tagName + " " + (e.textContent.trim() || e.name)).join(", ")`

func TestTextHasContrastByDayAndByNight(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	p := s.populate(40)
	s.spring(p)
	w := openWindow(t, s.URL, 1200, 900)
	w.login(s.Token)
	for _, night := range []bool{false, true} {
		w.dark(night)
		for _, path := range p.pages() {
			w.open(path)
			if faint := evaluate[string](w, faintTexts); faint != "" {
				t.Errorf("%s, by night %v: %s", path, night, faint)
			}
		}
	}
	w.isCalm()
}

// faintTexts names texts with less contrast than WCAG AA asks for: 4.5, of large
// ones 3.
const faintTexts = `(() => {
	const parse = (c) => {
		let m = c.match(/^rgba?\(([^)]*)\)/);
		if (m) { const v = m[1].split(/[ ,\/]+/).map(Number); return [v[0] / 255, v[1] / 255, v[2] / 255, v[3] === undefined ? 1 : v[3]]; }
		m = c.match(/^color\(srgb ([^)]*)\)/);
		if (m) { const v = m[1].split(/[ \/]+/).map(Number); return [v[0], v[1], v[2], v[3] === undefined ? 1 : v[3]]; }
		throw new Error("color " + c);
	};
	const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
	const background = (e) => {
		if (!e) return [1, 1, 1, 1];
		const own = parse(getComputedStyle(e).backgroundColor);
		return own[3] === 1 ? own : over(own, background(e.parentElement));
	};
	const luminance = (c) => [0.2126, 0.7152, 0.0722].reduce((sum, w, i) => sum + w * (c[i] <= 0.04045 ? c[i] / 12.92 : ((c[i] + 0.055) / 1.055) ** 2.4), 0);
	const faint = new Set();
	const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	for (let node = walker.nextNode(); node; node = walker.nextNode()) {
		const e = node.parentElement;
		if (!node.textContent.trim() || !e.checkVisibility() || e.closest("svg, .hidden, [disabled]")) continue;
		const style = getComputedStyle(e), below = background(e);
		const a = luminance(over(parse(style.color), below)), b = luminance(below);
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700;
		if (ratio < (large ? 3 : 4.5)) faint.add(e.tagName + "." + e.className + " " + JSON.stringify(node.textContent.trim().slice(0, 20)) + " " + ratio.toFixed(2));
	}
	return [...faint].join("; ");
})()`

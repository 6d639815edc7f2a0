package console_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/secure-ota/secure-ota/internal/testenv"
)

// maxPicture is how large a picture of the documentation may be, in bytes.
const maxPicture = 150 << 10

// picture writes what the window shows into a file, in few colours.
func (w *window) picture(dir, name string) {
	w.t.Helper()
	png, err := chromedp.Run(w.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		w.t.Fatal(err)
	}
	file := filepath.Join(dir, name+".png")
	if err := os.WriteFile(file, png, 0o644); err != nil {
		w.t.Fatal(err)
	}
	quant := exec.Command(testenv.Tool(w.t, "pngquant", "pngquant"), "--force", "--strip", "--speed", "1", "--output", file, "96", file)
	if out, err := quant.CombinedOutput(); err != nil {
		w.t.Fatalf("pngquant: %v: %s", err, out)
	}
	if info, err := os.Stat(file); err != nil || info.Size() > maxPicture {
		w.t.Errorf("%s: %v: larger than %d bytes", file, err, maxPicture)
	}
}

// TestScreenshots makes the pictures of docs/console.md: make screenshots.
func TestScreenshots(t *testing.T) {
	dir := os.Getenv("OTA_SCREENSHOTS")
	if dir == "" {
		t.Skip("OTA_SCREENSHOTS names no directory: make screenshots")
	}
	s := newScene(t)
	p := s.populate(240)
	w := openWindow(t, s.URL, 1200, 860)
	w.login(s.Token)

	w.open("/new-rollout?release=" + p.next.Identity.String())
	for field, value := range map[string]string{"name": "clock-fix", "filter": "label.site=berlin", "part1": "label.ring=canary", "part2": "25%", "part3": "100%"} {
		w.fill(field, value)
	}
	w.click("[name=gate2]")
	w.click("button.main")
	w.waitFor(`!!document.querySelector("#plan-h")`)
	w.picture(dir, "plan")

	s.spring(p)
	w.open("/")
	w.picture(dir, "overview")
	w.open("/devices?filter=label.site%3Doslo")
	w.picture(dir, "devices")
	w.open("/devices/sensor_v1/" + p.sensors[8])
	w.picture(dir, "device")
	w.open("/rollouts/spring")
	w.picture(dir, "rollout")
	w.open("/releases/" + p.next.Identity.String())
	w.picture(dir, "release")
	w.open("/audit")
	w.picture(dir, "audit")
	w.open("/keys")
	w.picture(dir, "keys")
	w.dark(true)
	w.open("/")
	w.picture(dir, "overview-dark")
	w.do(chromedp.EmulateViewport(390, 844, chromedp.EmulateMobile, chromedp.EmulateScale(2)))
	w.open("/rollouts/spring")
	w.picture(dir, "phone")
	w.isCalm()
}

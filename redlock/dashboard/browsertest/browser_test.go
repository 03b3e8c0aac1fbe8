package browsertest

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

const requireEnv = "REDTICK_REQUIRE_CHROMIUM"

// openBrowser starts Chromium with a fresh profile, or skips the test with a message.
func openBrowser(t *testing.T) context.Context {
	t.Helper()
	path := findChromium()
	if path == "" {
		if os.Getenv(requireEnv) != "" {
			t.Fatal("chromium is missing; install it: apt-get install -y chromium")
		}
		t.Skip("SKIPPED: chromium is missing, so the page is not tested in a browser; install it: apt-get install -y chromium")
	}
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()),
		chromedp.NoSandbox, chromedp.Headless, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.WSURLReadTimeout(time.Minute),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true), chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	do(t, ctx) // the first run starts it and must not be the one that is given up
	return ctx
}

func findChromium() string {
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

func do(t *testing.T, ctx context.Context, steps ...chromedp.Action[chromedp.Void]) {
	t.Helper()
	if err := chromedp.Do(ctx, steps...); err != nil {
		t.Fatal(err)
	}
}

func run[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// view is a size and color scheme of the window.
type view struct {
	name          string
	width, height int64
	scheme        string
}

var views = []view{
	{"desktop-light", 1100, 800, "light"},
	{"desktop-dark", 1100, 800, "dark"},
	{"phone", 390, 844, "light"},
	{"phone-dark", 390, 844, "dark"},
}

func (v view) use() chromedp.Action[chromedp.Void] {
	mobile := func(m *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		m.Mobile = v.width < 500
	}
	scheme := func(ctx context.Context, t *chromedp.Target) (none chromedp.Void, err error) {
		_, err = cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: v.scheme}},
		})
		return none, err
	}
	return chromedp.Steps(chromedp.EmulateViewport(v.width, v.height, mobile), scheme)
}

// evaluate returns the value of a JavaScript expression in the page.
func evaluate[T any](t *testing.T, ctx context.Context, expression string) T {
	t.Helper()
	return run(t, ctx, chromedp.Evaluate[T](expression))
}

// await waits until a JavaScript condition holds in the page.
func await(t *testing.T, ctx context.Context, condition string) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if evaluate[bool](t, ctx, condition) {
			return
		}
	}
	t.Fatalf("after 30 s this does not hold: %s\nthe page says: %s", condition, evaluate[string](t, ctx, "document.body.innerText"))
}

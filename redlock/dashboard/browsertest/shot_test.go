package browsertest

import (
	"os"
	"testing"

	"github.com/chromedp/chromedp"
)

// TestShots saves screenshots of a running page, for the documentation:
//
//	REDTICK_PAGE=http://127.0.0.1:8080 REDTICK_SHOTS=/tmp go test -run TestShots .
func TestShots(t *testing.T) {
	page, dir := os.Getenv("REDTICK_PAGE"), os.Getenv("REDTICK_SHOTS")
	if page == "" || dir == "" {
		t.Skip("REDTICK_PAGE and REDTICK_SHOTS are not set")
	}
	ctx := openBrowser(t)
	for _, v := range views {
		do(t, ctx, v.use(), chromedp.Navigate(page))
		await(t, ctx, settled)
		shoot(t, ctx, v.name)
	}
}

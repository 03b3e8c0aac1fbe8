package checkin

import (
	"crypto/sha256"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/redtick/redtick/redlock"
)

// Step is the step of a run that a call reports.
type Step uint8

// Steps of a run.
const (
	Start Step = iota
	Success
	Failure
)

var sentryPath = regexp.MustCompile(`/api/[^/]+/cron/[^/]+/[^/]+/?$`)

// Check returns an error that matches [redlock.ErrInvalid] unless at is an http or
// https URL with a host.
func Check(at string) error {
	_, err := address(at, Start, "")
	return err
}

// address returns the URL to call for a step. Its error does not contain at, which is a secret.
func address(at string, step Step, run string) (*url.URL, error) {
	u, err := url.Parse(at)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%w: the URL to check in at cannot be read (it is not repeated here, as it is a secret); write https://host/path", redlock.ErrInvalid)
	}
	query := u.Query()
	host := u.Hostname()
	switch {
	case host == "cronitor.link" || host == "cronitor.io" || strings.HasSuffix(host, ".cronitor.io"):
		query.Set("state", [...]string{"run", "complete", "fail"}[step])
		query.Set("series", id(run))
	case sentryPath.MatchString(u.Path):
		query.Set("status", [...]string{"in_progress", "ok", "error"}[step])
		query.Set("check_in_id", id(run))
	default:
		if step != Success {
			u = u.JoinPath([...]string{Start: "start", Failure: "fail"}[step])
		}
		query.Set("rid", id(run))
	}
	u.RawQuery = query.Encode()
	return u, nil
}

// id returns a UUID made of run: the services accept nothing else.
func id(run string) string {
	h := sha256.Sum256([]byte(run))
	h[6], h[8] = h[6]&0x0f|0x80, h[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}

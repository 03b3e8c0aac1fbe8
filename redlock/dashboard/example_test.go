package dashboard_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redtick/redtick/redlock"
	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func ExampleNew() {
	// In-memory nodes make the example self-contained; a service passes goredis.Nodes(clients...).
	locker, err := redlock.New(redlocktest.Nodes(redlocktest.Servers(3), "api-1"))
	if err != nil {
		log.Fatal(err)
	}
	defer locker.Close(context.Background())
	page, err := dashboard.New(locker, dashboard.WithNames("billing/"), dashboard.WithInterval(2*time.Second))
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/redtick/", http.StripPrefix("/redtick", page)) // behind the login of the service

	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/redtick/", nil))
	fmt.Println(answer.Code, answer.Header().Get("Content-Type"))
	// Output: 200 text/html; charset=utf-8
}

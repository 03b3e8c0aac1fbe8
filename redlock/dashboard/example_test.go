package dashboard_test

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/redtick/redtick/redlock/dashboard"
	"github.com/redtick/redtick/redlock/inspect"
	"github.com/redtick/redtick/redlock/redlocktest"
)

func ExampleNew() {
	// In-memory nodes make the example self-contained; a service passes goredis.Nodes(clients...).
	inspector, err := inspect.New(redlocktest.Nodes(redlocktest.Servers(3), "page"))
	if err != nil {
		log.Fatal(err)
	}
	page, err := dashboard.New(inspector, dashboard.WithNames("billing/"), dashboard.WithInterval(2*time.Second))
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

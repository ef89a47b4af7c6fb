package worldlist_test

import (
	"io"
	"net/http"
	"testing"

	"varde/internal/webui"
)

// get asks as a machine that bears the role's token.
func get(t *testing.T, url, role, lang string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Accept-Language", lang)
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+role)
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a, string(b)
}

func TestWorklistPage(t *testing.T) {
	server, _ := serve(t, newWard(), webui.Reader)
	a, body := get(t, server.URL+"/", webui.Reader, "en")
	if a.StatusCode != 200 {
		t.Fatal(a.Status, body)
	}
	a, body = get(t, server.URL+"/studies/"+string(chestCT), webui.Reader, "en")
	if a.StatusCode != 200 {
		t.Fatal(a.Status, body)
	}
}

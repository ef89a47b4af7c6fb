package webui

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"varde/study"
)

// newAPI makes an API whose description is at /api/v1/openapi.json. Its
// documentation page stays off: it would load script from another host.
func newAPI(mux *http.ServeMux, version string) huma.API {
	c := huma.DefaultConfig("Varde", version)
	c.OpenAPIPath = "/api/v1/openapi"
	c.SchemasPath = "/api/v1/schemas"
	c.DocsPath = ""
	c.CreateHooks = nil // no "$schema" in answers
	c.Info.Description = "Decision support only: not for primary diagnosis."
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {Type: "http", Scheme: "bearer"},
	}
	c.Security = []map[string][]string{{"bearer": {}}}
	return humago.New(mux, c)
}

// An Operation describes one operation of the API.
type Operation struct {
	ID      string // unique, for generated clients
	Method  string // of HTTP
	Path    string // below /, each parameter a whole segment: /api/v1/studies/{study}
	Summary string // one line
	Right   Right
}

// Operate adds an operation. In has a field for each parameter, tagged path:"…"
// or query:"…" and doc:"…", and for a body one called Body; Out has one called
// Body. What the tags promise is checked before h is called, and written in the
// OpenAPI. Errors of h are answered by the site's one table.
func Operate[In, Out any](s *Site, op Operation, h func(context.Context, *In) (*Out, error)) {
	huma.Register(s.api, huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Summary: op.Summary,
		MaxBodyBytes: maxForm,
		Errors:       []int{400, 401, 403, 404, 409, 422, 500},
		Middlewares: huma.Middlewares{func(c huma.Context, next func(huma.Context)) {
			c.SetHeader("Cache-Control", "no-store")
			if !VisitOf(c.Context()).Who.May(op.Right) {
				_ = huma.WriteErr(s.api, c, http.StatusForbidden, errForbidden.Error())
				return
			}
			next(c)
		}},
	}, func(ctx context.Context, in *In) (*Out, error) {
		out, err := h(ctx, in)
		if err == nil {
			return out, nil
		}
		code := status(err)
		if code == http.StatusInternalServerError {
			s.o.Log.ErrorContext(ctx, "operation failed", "operation", op.ID, "err", err)
			return nil, huma.NewError(code, "internal error")
		}
		return nil, huma.NewError(code, err.Error())
	})
}

// PathUID reads a UID from a request's path, by the parameter's name.
func PathUID(r *http.Request, name string) (study.UID, error) {
	uid, err := study.ParseUID(r.PathValue(name))
	if err != nil {
		return "", fmt.Errorf("%s in the address: %w", name, err)
	}
	return uid, nil
}

// Moment is a time in the API: UTC to the millisecond, and null when there is none.
func Moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Millisecond)
	return &t
}

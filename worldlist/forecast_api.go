package worldlist

import (
	"context"
	"net/http"

	"varde/internal/webui"
	"varde/study"
	"varde/worldlist/order"
)

type forecastOut struct{ Body order.Forecast }

func (p *pages) addForecastAPI() {
	if p.Outlook == nil {
		return
	}
	webui.Operate(p.site, webui.Operation{ID: "get-worklist-forecast", Method: http.MethodGet, Path: "/api/v1/worklist/forecast",
		Summary: "Which deadlines the present pace will miss, and whether models answer", Right: webui.SeeStudies}, p.apiForecast)
}

func (p *pages) apiForecast(ctx context.Context, _ *struct{}) (*forecastOut, error) {
	f, err := p.Outlook.Forecast(ctx)
	return &forecastOut{f}, err
}

// foresee is what the list says above its rows.
func (p *pages) foresee(ctx context.Context, l webui.Lang) (deadlines []string, down bool, err error) {
	if p.Outlook == nil {
		return nil, false, nil
	}
	f, err := p.Outlook.Forecast(ctx)
	if err != nil {
		return nil, false, err
	}
	return order.DeadlineWords(l, f), f.AILayer == study.AIDown, nil
}

// aiLayer is what the API's list says in its head; empty when nobody knows.
func (p *pages) aiLayer(ctx context.Context) (study.AILayer, error) {
	if p.Outlook == nil {
		return "", nil
	}
	f, err := p.Outlook.Forecast(ctx)
	return f.AILayer, err
}

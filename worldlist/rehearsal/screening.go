package rehearsal

import (
	"context"
	"fmt"
	"time"

	"varde/study"
	"varde/worldlist/screening"
)

// A ScreeningHistorian walks over the examinations that the department has had.
type ScreeningHistorian interface {
	// ScreeningHistory gives each of those that came from one time to another with
	// what a screening program looks at, and how its screening stands.
	ScreeningHistory(ctx context.Context, from, to time.Time, each func(study.ScreeningFacts, study.Screening) error) error
}

// ReplayScreening tells what programs would have done to the examinations of the last
// days, 90 for 0: how many would have been read once, how many readings that is, and
// what only the AI found. An error of kind [study.ErrNotFound] is that none of them
// belongs to a program.
func ReplayScreening(ctx context.Context, h ScreeningHistorian, p *screening.Programs, days int, now time.Time) ([]screening.Replay, error) {
	if days == 0 {
		days = defaultDays
	}
	if days < 1 || days > 3660 {
		return nil, fmt.Errorf("%d days: %w", days, study.ErrInvalid)
	}
	y, m, d := now.Date()
	r := screening.NewReplayer(p)
	err := h.ScreeningHistory(ctx, time.Date(y, m, d-days, 0, 0, 0, 0, now.Location()), now, func(f study.ScreeningFacts, s study.Screening) error {
		r.Add(f, s)
		return ctx.Err()
	})
	sums := r.Sums()
	if err == nil && len(sums) == 0 {
		err = fmt.Errorf("no examination of the last %d days belongs to a program of the file: %w", days, study.ErrNotFound)
	}
	return sums, err
}

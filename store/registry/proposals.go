package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"fmt"
	"strings"

	"varde/store/row"
	"varde/store/sqldb"
	"varde/study"
)

const proposalColumns = `id, model_id, model_version, model_sha256, was, state, share, beside, actor, reason, at, expires,
	status, decided_by, remark, decided_at`

func scanProposal(rows *sql.Rows) (p study.ModelProposal, err error) {
	var sum []byte
	var beside, made, expires, decided int64
	c := &p.Change
	err = rows.Scan(&p.ID, &c.Model.ID, &c.Model.Version, &sum, &c.From, &c.State, &c.Share, &beside, &c.By, &c.Reason, &made, &expires,
		&p.Status, &p.DecidedBy, &p.Remark, &decided)
	c.Model.SHA256, c.Beside, c.At, p.Expires, p.DecidedAt = sqldb.Hash(sum), beside == 1, sqldb.At(made), sqldb.At(expires), sqldb.At(decided)
	return p, err
}

// Proposals gives the proposals that wait for a second person, the oldest first.
func (l *Registry) Proposals(ctx context.Context) ([]study.ModelProposal, error) {
	return sqldb.List(l.db.Ask(ctx), scanProposal, `SELECT `+proposalColumns+` FROM model_proposal
		WHERE status = 'open' AND expires > $1 ORDER BY at, id`, sqldb.MS(l.db.Now()))
}

// ProposeModel asks for a change that takes two persons. An older proposal for the
// same model gives way to it. What would not be allowed with a second person
// either is refused as by [Registry.SetModel], and so is what needs none
// ([study.ErrInvalid]).
func (l *Registry) ProposeModel(ctx context.Context, c study.ModelChange) (study.ModelProposal, error) {
	var p study.ModelProposal
	var refused error
	id := "p" + strings.ToLower(rand.Text()[:12])
	err := l.change(ctx, func(t *tx) error {
		p, refused = study.ModelProposal{}, nil
		was, err := row.LastChange(t, c.Model)
		if err != nil {
			return err
		}
		c.Second, c.Installed = "", false
		seconded := c
		seconded.Second = "\x00" // whoever it may be
		refused = seconded.Follows(was)
		if refused == nil && !c.NeedsTwo(was) {
			refused = fmt.Errorf("it takes one person: no proposal is needed: %w", study.ErrInvalid)
		}
		if refused != nil {
			return t.auditRefusal(c, refused)
		}
		if err := t.supersede(c.Model, c.By, "something else was proposed"); err != nil {
			return err
		}
		c.From, c.At = cmp.Or(was.State, study.ModelDraft), t.Now
		p = study.ModelProposal{ID: id, Change: c, Expires: t.Now.Add(proposalLife), Status: study.ProposalOpen}
		if _, err := t.Exec(`INSERT INTO model_proposal (`+proposalColumns+`) VALUES `+sqldb.Values(16), p.ID,
			c.Model.ID, c.Model.Version, c.Model.SHA256[:], c.From, c.State, c.Share.Whole(), sqldb.Bit(c.Beside), sqldb.Clean(c.By), sqldb.Clean(c.Reason),
			sqldb.MS(t.Now), sqldb.MS(p.Expires), p.Status, "", "", 0); err != nil {
			return err
		}
		t.Shown = true
		return t.Audit(c.By, "model proposed", "model "+c.Model.String(), fmt.Sprintf("proposal %s: SHA-256 %s from %s to %s for %s of the exams: %s",
			p.ID, c.Model.SHA256, c.From, c.State, c.Share, c.Reason))
	})
	if err = either(err, refused); err != nil {
		return study.ModelProposal{}, fmt.Errorf("propose model %s as %s: %w", c.Model, c.State, err)
	}
	return p, nil
}

// DecideModel confirms a proposal, which makes the change, or declines it. Who
// proposed it may decline and never confirm ([study.ErrRefused]); a proposal that
// is not open any more, or whose model has been changed since, is
// [study.ErrInvalid]. Every decision, and every one that was refused, is in the
// audit.
func (l *Registry) DecideModel(ctx context.Context, id string, confirm bool, by, remark string) (study.ModelProposal, error) {
	var p study.ModelProposal
	var refused error
	err := l.change(ctx, func(t *tx) (err error) {
		refused = nil
		if p, err = sqldb.One(t, scanProposal, `SELECT `+proposalColumns+` FROM model_proposal WHERE id = $1`, id); err != nil {
			return err
		}
		p, refused, err = t.decideModel(p, confirm, by, remark)
		return err
	})
	if err = either(err, refused); err != nil {
		return p, fmt.Errorf("decide on proposal %s: %w", id, err)
	}
	return p, nil
}

func (t *tx) decideModel(p study.ModelProposal, confirm bool, by, remark string) (_ study.ModelProposal, refused, err error) {
	c := p.Change
	switch {
	case study.Said(by) == "":
		return p, fmt.Errorf("nobody says so: %w", study.ErrInvalid), nil
	case p.Status != study.ProposalOpen:
		refused = fmt.Errorf("it is %s by %s: %w", p.Status, p.DecidedBy, study.ErrInvalid)
		return p, refused, t.auditDecision(p, by, "model refused", refused.Error())
	case !p.Expires.After(t.Now):
		if err := t.close(&p, study.ProposalExpired, "", ""); err != nil {
			return p, nil, err
		}
		return p, fmt.Errorf("it has expired at %s; propose it again: %w", p.Expires.Format("2006-01-02 15:04"), study.ErrInvalid), nil
	case !confirm && study.Said(remark) == "":
		return p, fmt.Errorf("a reason is needed: %w", study.ErrInvalid), nil
	case !confirm:
		return p, nil, t.close(&p, study.ProposalDeclined, by, remark)
	}
	was, err := row.LastChange(t, c.Model)
	if err != nil {
		return p, nil, err
	}
	c.Second, c.At = by, t.Now
	if now := cmp.Or(was.State, study.ModelDraft); now != c.From {
		refused = fmt.Errorf("the model was %s then and is %s now; propose it again: %w", c.From, now, study.ErrInvalid)
	} else {
		refused = c.Follows(was)
	}
	if refused != nil {
		return p, refused, t.auditDecision(p, by, "model refused", refused.Error())
	}
	if err := t.close(&p, study.ProposalConfirmed, by, remark); err != nil {
		return p, nil, err
	}
	p.Change = c
	return p, nil, t.setModel(was, c)
}

// close ends a proposal.
func (t *tx) close(p *study.ModelProposal, status, by, remark string) error {
	p.Status, p.DecidedBy, p.Remark, p.DecidedAt = status, sqldb.Clean(by), sqldb.Clean(remark), t.Now
	if _, err := t.Exec(`UPDATE model_proposal SET status = $2, decided_by = $3, remark = $4, decided_at = $5 WHERE id = $1`,
		p.ID, p.Status, p.DecidedBy, p.Remark, sqldb.MS(t.Now)); err != nil {
		return err
	}
	t.Shown = true
	return t.auditDecision(*p, cmp.Or(by, "varde"), "model proposal "+status, remark)
}

func (t *tx) auditDecision(p study.ModelProposal, by, action, remark string) error {
	text := fmt.Sprintf("proposal %s of %s, SHA-256 %s to %s", p.ID, p.Change.By, p.Change.Model.SHA256, p.Change.State)
	if remark != "" {
		text += ": " + remark
	}
	return t.Audit(by, action, "model "+p.Change.Model.String(), text)
}

// supersede ends what is still proposed for a model.
func (t *tx) supersede(m study.ModelRef, by, why string) error {
	open, err := sqldb.List(t, scanProposal, `SELECT `+proposalColumns+` FROM model_proposal
		WHERE status = 'open' AND model_id = $1 AND model_version = $2 AND model_sha256 = $3 ORDER BY at, id`, m.ID, m.Version, m.SHA256[:])
	for _, p := range open {
		if err := t.close(&p, study.ProposalSuperseded, by, why); err != nil {
			return err
		}
	}
	return err
}

// ExpireProposals ends the proposals on which nobody has decided in time.
func (l *Registry) ExpireProposals(ctx context.Context) error {
	late, err := sqldb.List(l.db.Ask(ctx), sqldb.Number, `SELECT 1 FROM model_proposal WHERE status = 'open' AND expires <= $1 LIMIT 1`, sqldb.MS(l.db.Now()))
	if err != nil || len(late) == 0 {
		return err
	}
	return l.change(ctx, func(t *tx) error {
		late, err := sqldb.List(t, scanProposal, `SELECT `+proposalColumns+` FROM model_proposal WHERE status = 'open' AND expires <= $1 ORDER BY at, id`, sqldb.MS(t.Now))
		for _, p := range late {
			if err := t.close(&p, study.ProposalExpired, "", ""); err != nil {
				return err
			}
		}
		return err
	})
}

package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jmoiron/sqlx"

	"github.com/carillon-dev/carillon"
)

const subscriptionColumns = `id, name, event_types, scope, condition, include_cached, channel, endpoint, format,
	format_options, retry, state, disabled_by, disabled_reason, generation, version, created_version, created_at, updated_at,
	profile, match_fields, batch, max_per_minute`

const (
	selectSubscriptions = `SELECT ` + subscriptionColumns + `, ` + healthColumns + ` FROM subscriptions ORDER BY id`
	selectSubscription  = `SELECT ` + subscriptionColumns + `, ` + healthColumns + ` FROM subscriptions WHERE id = ?`
	pageOfSubscriptions = `SELECT ` + subscriptionColumns + `, ` + healthColumns + ` FROM subscriptions WHERE id > ?`
	orderSubscriptions  = ` ORDER BY id LIMIT ?`
	insertSubscription  = `INSERT INTO subscriptions (` + subscriptionColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`
	updateSubscription = `UPDATE subscriptions SET name = ?, event_types = ?, scope = ?, condition = ?,
		include_cached = ?, channel = ?, endpoint = COALESCE(NULLIF(CAST(? AS TEXT), ''), endpoint), format = ?,
		format_options = ?, retry = ?, state = ?, disabled_by = ?,
		disabled_reason = ?, generation = ?, version = ?, updated_at = ?, profile = ?, match_fields = ?, batch = ?,
		max_per_minute = ? WHERE id = ?`
	deleteSubscription = `DELETE FROM subscriptions WHERE id = ?`
	cancelDeliveries   = `UPDATE deliveries SET state = 'canceled', next_at = 0, updated_at = ?
		WHERE subscription_id = ? AND state IN ('pending', 'retrying', 'held') AND state <> 'succeeded'`
)

type subscriptionRow struct {
	ID             string `db:"id"`
	Name           string `db:"name"`
	EventTypes     string `db:"event_types"`
	Scope          string `db:"scope"`
	Condition      string `db:"condition"`
	IncludeCached  bool   `db:"include_cached"`
	Channel        string `db:"channel"`
	Endpoint       string `db:"endpoint"`
	Format         string `db:"format"`
	FormatOptions  string `db:"format_options"`
	Retry          string `db:"retry"`
	State          string `db:"state"`
	DisabledBy     string `db:"disabled_by"`
	DisabledReason string `db:"disabled_reason"`
	Generation     int64  `db:"generation"`
	Version        int64  `db:"version"`
	CreatedVersion int64  `db:"created_version"`
	CreatedAt      int64  `db:"created_at"`
	UpdatedAt      int64  `db:"updated_at"`
	Profile        string `db:"profile"`
	MatchFields    string `db:"match_fields"`
	Batch          string `db:"batch"`
	MaxPerMinute   int    `db:"max_per_minute"`
	healthRow
}

// endpointContext binds a sealed endpoint to its row.
func endpointContext(id string) string { return "subscriptions.endpoint/" + id }

// subscription reads the row, but for its endpoint.
func (r subscriptionRow) subscription() (carillon.Subscription, error) {
	sub := carillon.Subscription{
		ID: r.ID, Name: r.Name, Condition: r.Condition, IncludeCached: r.IncludeCached, Channel: r.Channel,
		Format: r.Format, State: carillon.SubscriptionState(r.State), DisabledBy: r.DisabledBy,
		DisabledReason: r.DisabledReason, Generation: r.Generation, Version: r.Version,
		CreatedVersion: r.CreatedVersion, CreatedAt: instant(r.CreatedAt), UpdatedAt: instant(r.UpdatedAt),
		Profile: r.Profile, MaxPerMinute: r.MaxPerMinute, Health: r.health(),
	}
	err := errors.Join(
		json.Unmarshal([]byte(r.EventTypes), &sub.EventTypes),
		json.Unmarshal([]byte(r.Scope), &sub.Scope),
		json.Unmarshal([]byte(r.Retry), &sub.Retry),
	)
	if r.MatchFields != "" {
		err = errors.Join(err, json.Unmarshal([]byte(r.MatchFields), &sub.Match))
	}
	if r.Batch != "" {
		err = errors.Join(err, json.Unmarshal([]byte(r.Batch), &sub.Batch))
	}
	if err != nil {
		return carillon.Subscription{}, fmt.Errorf("read subscription %s: %w", r.ID, err)
	}
	if r.FormatOptions != "" {
		sub.FormatOptions = json.RawMessage(r.FormatOptions)
	}
	return sub, nil
}

// open is subscription with the endpoint. One that cannot be opened makes its
// subscription unreadable, and only that: the others go on.
func (s *Store) open(r subscriptionRow) (carillon.Subscription, error) {
	sub, err := r.subscription()
	if err != nil {
		return carillon.Subscription{}, err
	}
	endpoint, err := s.sealer.Open(r.Endpoint, endpointContext(r.ID))
	sub.Endpoint, sub.Unreadable = carillon.Endpoint(endpoint), err != nil
	return sub, nil
}

func (s *Store) openAll(rows []subscriptionRow) ([]carillon.Subscription, error) {
	subs := make([]carillon.Subscription, len(rows))
	for i, row := range rows {
		sub, err := s.open(row)
		if err != nil {
			return nil, err
		}
		subs[i] = sub
	}
	return subs, nil
}

// seal makes the row of a subscription.
func (s *Store) seal(sub carillon.Subscription) (subscriptionRow, error) {
	endpoint := "" // leaves the sealed one as it is
	if !sub.Unreadable {
		var err error
		if endpoint, err = s.sealer.Seal(sub.Endpoint, endpointContext(sub.ID)); err != nil {
			return subscriptionRow{}, fmt.Errorf("seal endpoint of subscription %s: %w", sub.ID, err)
		}
	}
	return subscriptionRow{
		ID: sub.ID, Name: sub.Name, EventTypes: asJSON(sub.EventTypes), Scope: asJSON(sub.Scope),
		Condition: sub.Condition, IncludeCached: sub.IncludeCached, Channel: sub.Channel, Endpoint: endpoint,
		Format: sub.Format, FormatOptions: string(sub.FormatOptions), Retry: asJSON(sub.Retry), State: string(sub.State),
		DisabledBy: sub.DisabledBy, DisabledReason: sub.DisabledReason, Generation: sub.Generation, Version: sub.Version,
		CreatedVersion: sub.CreatedVersion, CreatedAt: micros(sub.CreatedAt), UpdatedAt: micros(sub.UpdatedAt),
		Profile: sub.Profile, MatchFields: matchFields(sub.Match), Batch: batchText(sub.Batch),
		MaxPerMinute: sub.MaxPerMinute,
	}, nil
}

func matchFields(m carillon.Match) string {
	if m.IsZero() {
		return ""
	}
	return asJSON(m)
}

func batchText(b carillon.Batch) string {
	if b.IsZero() {
		return ""
	}
	return asJSON(b)
}

// Subscriptions returns all subscriptions, and a config version that they are
// at least as new as: some may be newer.
func (s *Store) Subscriptions(ctx context.Context) (version int64, all []carillon.Subscription, err error) {
	// The version first: what is read after it cannot be older.
	if version, err = s.ConfigVersion(ctx); err != nil {
		return 0, nil, err
	}
	rows, err := readAll[subscriptionRow](ctx, s, selectSubscriptions)
	if err != nil {
		return 0, nil, fmt.Errorf("read subscriptions: %w", err)
	}
	all, err = s.openAll(rows)
	return version, all, err
}

// Subscription returns one subscription, or an error of
// [carillon.CodeNotFound].
func (s *Store) Subscription(ctx context.Context, id string) (carillon.Subscription, error) {
	var w where
	w.andSubscriptions(carillon.ConfinementOf(ctx), s.driver)
	row, err := readOne[subscriptionRow](ctx, s, selectSubscription+w.more(), append([]any{id}, w.args...)...)
	if err != nil {
		return carillon.Subscription{}, subscriptionError(id, err)
	}
	return s.open(row)
}

// ListSubscriptions returns at most limit subscriptions in the order of their
// ids, those after the given one.
func (s *Store) ListSubscriptions(ctx context.Context, after string, limit int) ([]carillon.Subscription, error) {
	var w where
	w.andSubscriptions(carillon.ConfinementOf(ctx), s.driver)
	args := append(append([]any{after}, w.args...), limit)
	rows, err := readAll[subscriptionRow](ctx, s, pageOfSubscriptions+w.more()+orderSubscriptions, args...)
	if err != nil {
		return nil, fmt.Errorf("list subscriptions: %w", err)
	}
	return s.openAll(rows)
}

// CreateSubscription keeps a new subscription and returns it with its Version,
// Generation and CreatedVersion. UpdatedAt becomes CreatedAt. An id that is
// there already gives an error of [carillon.CodeExists], a scope that the
// context does not let be one of [carillon.CodeForbidden].
func (s *Store) CreateSubscription(ctx context.Context, sub carillon.Subscription, actor string) (carillon.Subscription, error) {
	if err := carillon.ConfinementOf(ctx).CheckAll(sub.Scope); err != nil {
		return carillon.Subscription{}, err
	}
	sub.Version, sub.Generation, sub.UpdatedAt = 1, 1, sub.CreatedAt
	err := s.changeConfig(ctx, sub.ID, func(tx *sqlx.Tx, version int64) error {
		sub.CreatedVersion = version
		r, err := s.seal(sub)
		if err != nil {
			return err
		}
		written, err := exec(ctx, tx, insertSubscription, r.ID, r.Name, r.EventTypes, r.Scope, r.Condition,
			r.IncludeCached, r.Channel, r.Endpoint, r.Format, r.FormatOptions, r.Retry, r.State, r.DisabledBy, r.DisabledReason,
			r.Generation, r.Version, r.CreatedVersion, r.CreatedAt, r.UpdatedAt, r.Profile, r.MatchFields, r.Batch, r.MaxPerMinute)
		if err != nil {
			return fmt.Errorf("create subscription %s: %w", sub.ID, err)
		}
		if written == 0 {
			return carillon.Errorf(carillon.CodeExists, "there is a subscription %s already", sub.ID)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: sub.CreatedAt, Actor: actor, Action: "subscription.created", Object: sub.ID,
			Detail: "created " + named(sub.Name),
		}, nil, viewOf(sub))
	})
	if err != nil {
		return carillon.Subscription{}, err
	}
	return sub, nil
}

// UpdateSubscription replaces what people choose of a subscription: its name,
// event types, scope, condition, match, endpoint, format and its options,
// profile, batch, retry and state, with DisabledReason where the state becomes
// disabled, and UpdatedAt. Everything else is the store's: enabling raises the
// Generation and forgets who disabled, and another state forgets the Health.
//
// ifVersion, unless 0, is the version that the change was made from; another
// one gives an error of [carillon.CodeStale], a missing subscription one of
// [carillon.CodeNotFound], a scope that the context does not let be one of
// [carillon.CodeForbidden].
func (s *Store) UpdateSubscription(
	ctx context.Context, sub carillon.Subscription, ifVersion int64, actor string,
) (carillon.Subscription, error) {
	err := s.changeConfig(ctx, sub.ID, func(tx *sqlx.Tx, _ int64) error {
		stored, err := s.forChange(ctx, tx, sub.ID, ifVersion)
		if err != nil {
			return err
		}
		if err := carillon.ConfinementOf(ctx).CheckAll(sub.Scope); err != nil {
			return err
		}
		sub = succeed(stored, sub)
		if err := s.replace(ctx, tx, sub); err != nil {
			return err
		}
		if sub.State != stored.State {
			if _, err := exec(ctx, tx, clearHealth, sub.ID); err != nil {
				return fmt.Errorf("forget health of subscription %s: %w", sub.ID, err)
			}
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: sub.UpdatedAt, Actor: actor, Action: "subscription.updated", Object: sub.ID,
			Detail: changes(stored, sub),
		}, viewOf(stored), viewOf(sub))
	})
	if err != nil {
		return carillon.Subscription{}, err
	}
	return sub, nil
}

// DeleteSubscription removes a subscription. Its deliveries stay, and those
// that were not final become canceled. The errors are those of
// [Store.UpdateSubscription].
func (s *Store) DeleteSubscription(ctx context.Context, id string, ifVersion int64, actor string, now time.Time) error {
	return s.changeConfig(ctx, id, func(tx *sqlx.Tx, _ int64) error {
		stored, err := s.forChange(ctx, tx, id, ifVersion)
		if err != nil {
			return err
		}
		if _, err := exec(ctx, tx, deleteSubscription, id); err != nil {
			return fmt.Errorf("delete subscription %s: %w", id, err)
		}
		if _, err := exec(ctx, tx, deleteBrake, id); err != nil {
			return fmt.Errorf("delete the brake of subscription %s: %w", id, err)
		}
		if _, err := exec(ctx, tx, cancelDeliveries, micros(now), id); err != nil {
			return fmt.Errorf("cancel deliveries of subscription %s: %w", id, err)
		}
		if _, err := exec(ctx, tx, deleteThreads, id); err != nil {
			return fmt.Errorf("forget threads of subscription %s: %w", id, err)
		}
		return writeAudit(ctx, tx, carillon.AuditEntry{
			At: now, Actor: actor, Action: "subscription.deleted", Object: id, Detail: "deleted " + named(stored.Name),
		}, viewOf(stored), nil)
	})
}

// forChange reads a subscription inside [Store.changeConfig].
func (s *Store) forChange(ctx context.Context, tx *sqlx.Tx, id string, ifVersion int64) (carillon.Subscription, error) {
	var w where
	w.andSubscriptions(carillon.ConfinementOf(ctx), s.driver)
	row, err := get[subscriptionRow](ctx, tx, selectSubscription+w.more(), append([]any{id}, w.args...)...)
	if err != nil {
		return carillon.Subscription{}, subscriptionError(id, err)
	}
	if ifVersion != 0 && ifVersion != row.Version {
		return carillon.Subscription{}, carillon.Errorf(carillon.CodeStale,
			"subscription %s is at version %d, not %d", id, row.Version, ifVersion)
	}
	return s.open(row)
}

// replace writes a subscription that is there.
func (s *Store) replace(ctx context.Context, tx *sqlx.Tx, sub carillon.Subscription) error {
	r, err := s.seal(sub)
	if err != nil {
		return err
	}
	_, err = exec(ctx, tx, updateSubscription, r.Name, r.EventTypes, r.Scope, r.Condition, r.IncludeCached, r.Channel,
		r.Endpoint, r.Format, r.FormatOptions, r.Retry, r.State, r.DisabledBy, r.DisabledReason, r.Generation, r.Version,
		r.UpdatedAt, r.Profile, r.MatchFields, r.Batch, r.MaxPerMinute, r.ID)
	if err != nil {
		return fmt.Errorf("update subscription %s: %w", sub.ID, err)
	}
	return nil
}

// succeed returns the next version of a subscription: people's choices of the
// new one, everything else of the stored one.
func succeed(stored, next carillon.Subscription) carillon.Subscription {
	next.Generation, next.Version = stored.Generation, stored.Version+1
	next.CreatedVersion, next.CreatedAt = stored.CreatedVersion, stored.CreatedAt
	next.Health = stored.Health
	if next.State != stored.State {
		next.Health = carillon.Health{ToldSince: stored.Health.ToldSince}
	}
	switch {
	case next.State != carillon.Disabled:
		next.DisabledBy, next.DisabledReason = "", ""
	case stored.State == carillon.Disabled:
		next.DisabledBy, next.DisabledReason = stored.DisabledBy, stored.DisabledReason
	default:
		next.DisabledBy = ""
	}
	if next.State == carillon.Enabled && stored.State != carillon.Enabled {
		next.Generation++
	}
	return next
}

func subscriptionError(id string, err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return carillon.Errorf(carillon.CodeNotFound, "there is no subscription %q", id)
	}
	return fmt.Errorf("read subscription %s: %w", id, err)
}

package workflows

import (
	"fmt"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/carillon-dev/carillon"
)

// What a person can ask of a run. Updates take an [UpdateInput].
const (
	UpdateRetryNow  = "retry-now"
	UpdateCancel    = "cancel"
	QueryDeliveries = "deliveries"
)

// UpdateInput names the delivery that an update is for.
type UpdateInput struct {
	Subscription string `json:"subscription"`
}

// DeliveryView is a delivery as the query and the updates answer it.
type DeliveryView struct {
	Subscription string                 `json:"subscription"`
	Channel      string                 `json:"channel"`
	Host         string                 `json:"host,omitempty"`
	State        carillon.DeliveryState `json:"state"`
	Attempts     int                    `json:"attempts"`
	Status       int                    `json:"status,omitempty"`
	Error        string                 `json:"error,omitempty"`
	NextAt       time.Time              `json:"next_at,omitzero"`
}

func (dl *delivery) view() DeliveryView {
	return DeliveryView{
		Subscription: dl.Subscription, Channel: dl.Channel, Host: dl.Host, State: dl.state,
		Attempts: dl.attempts, Status: dl.status, Error: dl.err, NextAt: dl.nextAt,
	}
}

// handle registers what a person can ask of the run, before it first blocks.
func (d *dispatch) handle(ctx workflow.Context) error {
	err := workflow.SetQueryHandlerWithOptions(ctx, QueryDeliveries, func() ([]DeliveryView, error) {
		views := make([]DeliveryView, len(d.deliveries))
		for i, dl := range d.deliveries {
			views[i] = dl.view()
		}
		return views, nil
	}, workflow.QueryHandlerOptions{Description: "The deliveries of this run, and where each stands."})
	if err != nil {
		return err
	}
	err = workflow.SetUpdateHandlerWithOptions(ctx, UpdateRetryNow,
		func(_ workflow.Context, in UpdateInput) (DeliveryView, error) {
			dl := d.find(in.Subscription)
			dl.wake.SendAsync(true)
			return dl.view(), nil
		},
		workflow.UpdateHandlerOptions{
			Description: "Makes the next attempt of a waiting delivery now. Argument: {\"subscription\": \"sub_…\"}.",
			Validator:   d.validateWaiting,
		})
	if err != nil {
		return err
	}
	return workflow.SetUpdateHandlerWithOptions(ctx, UpdateCancel,
		func(ctx workflow.Context, in UpdateInput) (DeliveryView, error) {
			dl := d.find(in.Subscription)
			dl.cancel()
			err := workflow.Await(ctx, func() bool { return !dl.open() })
			return dl.view(), err
		},
		workflow.UpdateHandlerOptions{
			Description: "Ends a delivery that is under way; an attempt that was begun is still counted. " +
				"Argument: {\"subscription\": \"sub_…\"}.",
			Validator: d.validateOpen,
		})
}

func (d *dispatch) find(subscription string) *delivery {
	for _, dl := range d.deliveries {
		if dl.Subscription == subscription {
			return dl
		}
	}
	return nil
}

func (d *dispatch) validateOpen(_ workflow.Context, in UpdateInput) error {
	dl := d.find(in.Subscription)
	switch {
	case dl == nil:
		return fmt.Errorf("this run has no delivery to subscription %q", in.Subscription)
	case !dl.open():
		return fmt.Errorf("the delivery is %s, not under way", dl.state)
	case dl.cancel == nil:
		return fmt.Errorf("the first attempt is being made")
	}
	return nil
}

func (d *dispatch) validateWaiting(ctx workflow.Context, in UpdateInput) error {
	if err := d.validateOpen(ctx, in); err != nil {
		return err
	}
	if !d.find(in.Subscription).waiting {
		return fmt.Errorf("an attempt is being made")
	}
	return nil
}

package client_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
	"github.com/carillon-dev/carillon/client"
)

func TestRotateSecret(t *testing.T) {
	t.Parallel()
	sub, err := answering(t, exchange{
		method: "POST", target: "/v1/subscriptions/sub_1/rotate-secret", status: 200, golden: "rotation", body: `{}`,
		answer: map[string]string{"ETag": `"2"`},
	}).RotateSecret(t.Context(), "sub_1", "", client.Rotation{})
	require.NoError(t, err)
	require.Equal(t, "SECRET", sub.Secret())
	require.Equal(t, `"2"`, sub.ETag)

	_, err = answering(t, exchange{
		method: "POST", target: "/v1/subscriptions/sub_1/rotate-secret", status: 200, golden: "rotation",
		body: `{"secret":"whsec_new","overlap":"0s"}`, header: map[string]string{"If-Match": `"1"`},
	}).RotateSecret(t.Context(), "sub_1", `"1"`, client.Rotation{Secret: "whsec_new", Overlap: new(carillon.Duration(0 * time.Second))})
	require.NoError(t, err)
}

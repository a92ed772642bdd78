package main

import (
	"context"
	"io"
	"strings"

	"github.com/carillon-dev/carillon/config"
	"github.com/carillon-dev/carillon/worker"
)

// role is what a process does of the two halves of Carillon.
type role struct {
	// name is the command, for people.
	name        string
	api, worker bool
}

// runAPI runs the API until ctx ends. It takes events also while no worker is
// there: they wait with Temporal.
func runAPI(ctx context.Context, cfg config.Config, out io.Writer) error {
	return serve(ctx, cfg, out, role{name: "carillon api", api: true})
}

// runWorker runs the worker until ctx ends; its HTTP server answers health and
// metrics alone.
func runWorker(ctx context.Context, cfg config.Config, out io.Writer) error {
	return serve(ctx, cfg, out, role{name: "carillon worker", worker: true})
}

// check refuses a half of Carillon on a database that the other cannot share.
func (r role) check(cfg config.Config) error {
	if r.api && r.worker || !onSQLite(cfg) {
		return nil
	}
	return usagef("CARILLON_DATABASE_URL: SQLite is for one process, and %s is one of two. "+
		"Set it to postgres://USER:PASSWORD@HOST/DATABASE, or run `carillon serve`, which is both in one", r.name)
}

func onSQLite(cfg config.Config) bool {
	return strings.HasPrefix(cfg.DatabaseURL.Reveal(), "sqlite:")
}

// Temporal's own names of what a versioned worker is; whoever deploys workers
// by Temporal's rules sets both.
// https://docs.temporal.io/production-deployment/worker-deployments/worker-versioning
const (
	deploymentName = "TEMPORAL_DEPLOYMENT_NAME"
	workerBuildID  = "TEMPORAL_WORKER_BUILD_ID"
)

// workerOptions makes a versioned worker of the two variables. One without the
// other is a mistake: an unversioned worker would take tasks that were meant
// for a version.
func workerOptions(getenv func(string) string) ([]worker.Option, error) {
	name, build := getenv(deploymentName), getenv(workerBuildID)
	switch {
	case name == "" && build == "":
		return nil, nil
	case name == "":
		return nil, usagef("%s is set and %s is not; set both for a versioned worker, or none", workerBuildID, deploymentName)
	case build == "":
		return nil, usagef("%s is set and %s is not; set both for a versioned worker, or none", deploymentName, workerBuildID)
	}
	return []worker.Option{worker.Versioned(name, build)}, nil
}

package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/server/common/authorization"
	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
	"go.temporal.io/server/temporal"
)

const (
	clusterName   = "active"
	namespaceName = "default"
	// retention is how long a closed run stays; a folder made earlier keeps
	// what its namespace says.
	retention = 30 * 24 * time.Hour
	// historyShards is fixed for the life of a folder.
	historyShards = 4

	historyStore    = "history"
	visibilityStore = "visibility"
)

// settings differ from the server's defaults for one process on one small
// database.
var settings = dynamicconfig.StaticClient{
	// One partition: more only forward tasks to each other (p99 of a run
	// 2,291 ms with the default, 567 ms with one).
	dynamicconfig.MatchingNumTaskqueueReadPartitions.Key():  1,
	dynamicconfig.MatchingNumTaskqueueWritePartitions.Key(): 1,
	// Deliveries carry their subscription as the fairness key.
	dynamicconfig.MatchingEnableFairness.Key(): true,
	// The check tells a server of Temporal's about this one.
	dynamicconfig.EnableServerVersionCheck.Key(): false,
}

func newServer(ctx context.Context, dir string, p ports, logger log.Logger) (temporal.Server, error) {
	history, visibility, err := databases(dir)
	if err != nil {
		return nil, err
	}
	if err := setUp(ctx, dir, history, visibility); err != nil {
		return nil, err
	}
	hosts := map[primitives.ServiceName]static.Hosts{}
	services := map[string]config.Service{}
	for name, port := range map[primitives.ServiceName]int{
		primitives.FrontendService: p.frontend,
		primitives.HistoryService:  p.history,
		primitives.MatchingService: p.matching,
		primitives.WorkerService:   p.worker,
	} {
		hosts[name] = static.SingleLocalHost(address(port))
		services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: port, BindOnIP: host}}
	}
	server, err := temporal.NewServer(
		temporal.WithConfig(&config.Config{
			Persistence: config.Persistence{
				DefaultStore:     historyStore,
				VisibilityStore:  visibilityStore,
				NumHistoryShards: historyShards,
				DataStores: map[string]config.DataStore{
					historyStore:    {SQL: history},
					visibilityStore: {SQL: visibility},
				},
			},
			ClusterMetadata: &cluster.Config{
				FailoverVersionIncrement: 10,
				MasterClusterName:        clusterName,
				CurrentClusterName:       clusterName,
				ClusterInformation: map[string]cluster.ClusterInformation{
					clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: address(p.frontend)},
				},
			},
			DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
			Services:            services,
			PublicClient:        config.PublicClient{HostPort: address(p.frontend)},
			// Without a port, 0, there are no profiles.
			Global: config.Global{PProf: config.PProf{Host: host, Port: p.pprof}},
			// Without a Global.Metrics, and with archival off, nothing else
			// listens and nothing is exported.
			Archival: config.Archival{
				History:    config.HistoryArchival{State: config.ArchivalDisabled},
				Visibility: config.VisibilityArchival{State: config.ArchivalDisabled},
			},
			NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
				History:    config.HistoryArchivalNamespaceDefaults{State: config.ArchivalDisabled},
				Visibility: config.VisibilityArchivalNamespaceDefaults{State: config.ArchivalDisabled},
			}},
		}),
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithStaticHosts(hosts),
		temporal.WithDynamicConfigClient(settings),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*config.Config) authorization.ClaimMapper { return authorization.NewNoopClaimMapper() }),
	)
	if err != nil {
		return nil, fmt.Errorf("make the server: %w", err)
	}
	return server, nil
}

package main

import (
	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

func newWeb(p ports) *uiserver.Server {
	return uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: address(p.frontend),
		Host:                host,
		Port:                p.web,
		EnableUI:            true,
		DefaultNamespace:    namespaceName,
		// Neither the page nor its server asks the internet for news or versions.
		DisableNewsFetch:   true,
		NotifyOnNewVersion: false,
		HideLogs:           true,
		// Plain HTTP: a cookie marked secure would not come back in every browser.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}))
}

package sources

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/carillon-dev/carillon"
)

func TestMyGetsPage(t *testing.T) {
	t.Parallel()
	const description = `GoogleAnalyticsTracker was created to have a means of tracking specific URL's directly from C#. ` +
		`For example, it enables you to log API calls to Google Analytics.`
	tests := []struct{ example, want string }{
		{"ping.json", `{"type":"ping","actor":"maartenba","scope":null,"subject":"","time":"2014-09-08T13:06:25.8446143Z","data":{}}`},
		{"package_added.json", `{"type":"package.added","actor":"maartenba","scope":{"feed":"sample-feed"},
			"subject":"pkg:nuget/GoogleAnalyticsTracker.WP8@1.0.0-CI00002","time":"2014-09-08T12:59:53.1148196Z","data":{
			"package":"GoogleAnalyticsTracker.WP8","version":"1.0.0-CI00002","package_type":"nuget",
			"feed_url":"https://www.myget.org/F/sample-feed/",
			"details_url":"https://www.myget.org/feed/sample-feed/package/GoogleAnalyticsTracker.WP8/1.0.0-CI00002",
			"download_url":"https://www.myget.org/F/sample-feed/api/v2/package/GoogleAnalyticsTracker.WP8/1.0.0-CI00002",
			"metadata":{"icon_url":"/Content/images/packageDefaultIcon.png","size":6158,"authors":"Maarten Balliauw",
				"description":"` + description + `",
				"license_url":"http://github.com/maartenba/GoogleAnalyticsTracker/blob/master/LICENSE.md","license_names":"MS-PL",
				"project_url":"http://github.com/maartenba/GoogleAnalyticsTracker",
				"tags":"google analytics ga wp8 wp7 windows phone windowsphone api rest client tracker stats statistics mango",
				"dependencies":[{"package":"GoogleAnalyticsTracker.Core","version":"(>= 2.0.5364.25176)",
					"target_framework":".NETFramework,Version=v4.0.0.0"}]}}}`},
		{"package_deleted.json", `{"type":"package.deleted","actor":"maartenba","scope":{"feed":"sample-feed"},
			"subject":"pkg:nuget/GoogleAnalyticsTracker.Core@1.0.0-CI00002","time":"2014-09-08T13:00:52.0300822Z","data":{
			"package":"GoogleAnalyticsTracker.Core","version":"1.0.0-CI00002","package_type":"nuget",
			"feed_url":"https://www.myget.org/F/sample-feed/"}}`},
		{"package_listed.json", `{"type":"package.unlisted","actor":"maartenba","scope":{"feed":"sample-feed"},
			"subject":"pkg:nuget/GoogleAnalyticsTracker.Simple@1.0.0-CI00002","time":"2014-09-08T13:07:33.6121841Z","data":{
			"action":"unlisted","package":"GoogleAnalyticsTracker.Simple","version":"1.0.0-CI00002","package_type":"nuget",
			"feed_url":"https://www.myget.org/F/sample-feed/"}}`},
		{"package_pinned.json", `{"type":"package.pinned","actor":"maartenba","scope":{"feed":"sample-feed"},
			"subject":"pkg:nuget/GoogleAnalyticsTracker.Simple@1.0.0-CI00002","time":"2014-09-08T13:07:43.1294196Z","data":{
			"action":"pinned","package":"GoogleAnalyticsTracker.Simple","version":"1.0.0-CI00002","package_type":"nuget",
			"feed_url":"https://www.myget.org/F/sample-feed/"}}`},
		{"package_pushed.json", `{"type":"package.pushed","actor":"maartenba","scope":{"feed":"sample-feed"},
			"subject":"pkg:nuget/GoogleAnalyticsTracker.Simple@1.0.0-CI00002","time":"2014-09-08T13:02:46.6949583Z","data":{
			"package":"GoogleAnalyticsTracker.Simple","version":"1.0.0-CI00002","package_type":"nuget",
			"feed_url":"https://www.myget.org/F/sample-feed/",
			"details_url":"https://www.myget.org/feed/sample-feed/package/GoogleAnalyticsTracker.Simple/1.0.0-CI00002",
			"download_url":"https://www.myget.org/F/sample-feed/api/v2/package/GoogleAnalyticsTracker.Simple/1.0.0-CI00002",
			"metadata":{"icon_url":"/Content/images/packageDefaultIcon.png","size":5542,"authors":"Maarten Balliauw",
				"description":"` + description + `",
				"license_url":"http://github.com/maartenba/GoogleAnalyticsTracker/blob/master/LICENSE.md","license_names":"MS-PL",
				"project_url":"http://github.com/maartenba/GoogleAnalyticsTracker",
				"tags":"google analytics ga mvc api rest client tracker stats statistics",
				"dependencies":[{"package":"GoogleAnalyticsTracker.Core","version":"(? 2.0.5364.25176)",
					"target_framework":".NETFramework,Version=v4.0.0.0"}]},
			"target_source_name":"Other Feed","target_source_url":"https://www.myget.org/F/other-feed/"}}`},
		{"build_queued.json", `{"type":"build.queued","actor":"maartenba","scope":{"feed":"sample-feed"},"subject":"",
			"time":"2014-09-08T13:00:10.9006808Z","data":{
			"name":"SampleBuild","branch":"master","feed_url":"https://www.myget.org/F/sample-feed/"}}`},
		{"build_started.json", `{"type":"build.started","actor":"maartenba","scope":{"feed":"sample-feed"},"subject":"",
			"time":"2014-09-08T13:00:10.9006808Z","data":{
			"name":"SampleBuild","branch":"master","feed_url":"https://www.myget.org/F/sample-feed/"}}`},
		{"build_finished.json", `{"type":"build.finished","actor":"maartenba","scope":{"feed":"sample-feed"},"subject":"",
			"time":"2014-09-08T13:00:10.9006808Z","data":{
			"result":"success","name":"SampleBuild","branch":"master","feed_url":"https://www.myget.org/F/sample-feed/",
			"log_url":"https://www.myget.org/BuildSource/List/sample-feed#d510be3d-7803-43cc-8d15-e327ba999ba7",
			"packages":[
				{"package_type":"nuget","package":"GoogleAnalyticsTracker.Core","version":"1.0.0-CI00002"},
				{"package_type":"nuget","package":"GoogleAnalyticsTracker.MVC4","version":"1.0.0-CI00002"}]}}`},
	}
	b := product(t, "myget")
	var all []carillon.Event
	for _, test := range tests {
		body := page(t, "myget/"+test.example)
		events := b.tell(body, "")
		require.Len(t, events, 1, test.example)
		requireSeen(t, test.want, events[0])
		require.Equal(t, events, b.tell("\ufeff"+body, ""), "%s with a byte order mark", test.example)
		all = append(all, events...)
	}
	requireDifferentIDs(t, all) // although the events of the build share their Identifier
}

func TestWhatMyGetMayTellBesidesIsKept(t *testing.T) {
	t.Parallel()
	events := product(t, "myget").tell(`{"Identifier":"1","Username":null,"When":"soon","PayloadType":"PackageListedWebHookEventPayloadV1",
		"Payload":{"Action":"listed","PackageType":"Npm","PackageIdentifier":"@acme/ui","PackageVersion":"1.0.0","FeedUrl":null,
		"PackageMetadata":{"IconUrl":null,"Size":null},"Channel":{"Name":"x","None":null}}}`, "")
	require.Len(t, events, 1)
	requireSeen(t, `{"type":"package.listed","actor":"","scope":null,"subject":"pkg:npm/%40acme/ui@1.0.0","time":"0001-01-01T00:00:00Z",
		"data":{"action":"listed","package":"@acme/ui","version":"1.0.0","package_type":"npm","package_type_name":"Npm",
		"Channel":{"Name":"x"}}}`, events[0])
}

package strict

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/carillon-dev/carillon/catalog"
)

// MyGet: https://docs.myget.org/docs/reference/webhooks
var (
	myGetFeed    = keys{"FeedIdentifier": orNull(isText), "FeedUrl": orNull(isText)}
	myGetPackage = keys{"PackageType": orNull(isText), "PackageIdentifier": isText, "PackageVersion": orNull(isText)}
	myGetAction  = func(words string) keys { return myGetPackage.with(myGetFeed).with(keys{"Action": matches(words)}) }
	myGetBuild   = myGetFeed.with(keys{"Name": orNull(isText), "Branch": orNull(isText)})
	myGetDetails = myGetPackage.with(myGetFeed).with(keys{
		"PackageDetailsUrl": orNull(isText), "PackageDownloadUrl": orNull(isText),
		"PackageMetadata": keys{
			"IconUrl": orNull(isText), "Size": orNull(isInteger), "Authors": orNull(isText), "Description": orNull(isText),
			"LicenseUrl": orNull(isText), "LicenseNames": orNull(isText), "ProjectUrl": orNull(isText), "Tags": orNull(isText),
			"MinClientVersion": orNull(isText), "ReleaseNotes": orNull(isText),
			"Dependencies": orNull(listOf(keys{
				"PackageIdentifier": isText, "PackageVersion": orNull(isText), "TargetFramework": orNull(isText),
			}.shape)),
		}.shape,
	})

	myGetPayloads = map[string]keys{
		"PingWebHookEventPayloadV1":           {},
		"PackageAddedWebHookEventPayloadV1":   myGetDetails,
		"PackageDeletedWebHookEventPayloadV1": myGetPackage.with(myGetFeed),
		"PackageListedWebHookEventPayloadV1":  myGetAction("listed|unlisted"),
		"PackagePinnedWebHookEventPayloadV1":  myGetAction("pinned|unpinned"),
		"PackagePushedWebHookEventPayloadV1": myGetDetails.with(keys{
			"TargetPackageSourceName": isText, "TargetPackageSourceUrl": isText,
		}),
		"BuildQueuedWebHookEventPayloadV1":  myGetBuild,
		"BuildStartedWebHookEventPayloadV1": myGetBuild,
		"BuildFinishedWebHookEventPayloadV1": myGetBuild.with(keys{
			"Result": matches("success|failed"), "BuildLogUrl": orNull(isText),
			"Packages": listOf(myGetPackage.with(keys{"TargetFramework": orNull(isText)}).shape),
		}),
	}
)

func strictMyGet(header http.Header, body []byte) error {
	if agent := header.Get("User-Agent"); !strings.HasPrefix(agent, "MyGet Web Hook/") {
		return fmt.Errorf("User-Agent: %s", agent)
	}
	switch kind := header.Get("Content-Type"); kind {
	case "application/vnd.myget.webhooks.v1+json", "application/json":
	default:
		return fmt.Errorf("Content-Type: %s", kind)
	}
	value, err := Decode(body)
	if err != nil {
		return err
	}
	payload, known := myGetPayloads[Member(value, "PayloadType")]
	if !known {
		return fmt.Errorf("400: PayloadType is %q", Member(value, "PayloadType"))
	}
	if id := Member(value, "Identifier"); id != header.Get("X-MyGet-EventIdentifier") {
		return fmt.Errorf("the Identifier %q is not the header's", id)
	}
	return keys{
		"Identifier": matches(uuidPattern), "Username": orNull(isText), "When": matches(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z`),
		"PayloadType": isText, "Payload": payload.shape,
	}.shape("", value)
}

// ProGet: https://docs.inedo.com/docs/proget/feeds/notifications-webhooks
func strictProGet(header http.Header, body []byte) error {
	if kind := header.Get("Content-Type"); kind != "application/json" {
		return fmt.Errorf("Content-Type: %s", kind)
	}
	value, err := Decode(body)
	if err != nil {
		return err
	}
	object, _ := value.(map[string]any)
	has := func(name string) bool { _, ok := object[name]; return ok }
	switch {
	case has("issues"):
		return keys{
			"issues":      listOf(keys{"Sequence": isText, "Detail": isText}.shape),
			"buildNumber": isText, "releaseNumber": isText, "projectName": isText,
		}.shape("", value)
	case has("result"):
		return keys{"package": isText, "version": isText, "result": isText, "details": isText, "feed": isText}.shape("", value)
	case has("vulnerabilityId"):
		return keys{
			"packages":        listOf(keys{"Name": isText, "AffectedVersions": isText}.shape),
			"vulnerabilityId": isText, "summary": isText, "severity": isText, "score": matches(`[0-9]+(?:\.[0-9]+)?`),
		}.shape("", value)
	default:
		return keys{
			"package": isText, "version": isText, "user": isText, "feed": isText,
			"event": matches("Added|Overwritten|Promoted|Deployed|Deleted|Purged|Status Changed"),
		}.shape("", value)
	}
}

// CodeScoring: https://docs.codescoring.ru/on-premise/how-to/webhooks.en/
func codeScoringPayload(trigger string) (keys, bool) {
	alert := keys{
		"alert_id": isInteger, "stage": matches("dev|source|build|stage|test|prod|proxy"), "level": matches("info|warning|critical"),
		"policy_id": isInteger, "policy_name": isText, "dependency_id": isInteger, "dependency_purl": matches("pkg:.+"),
		"matched_criteria": listOf(isText),
	}
	project := keys{"project_id": isInteger, "project_name": isText}
	image := keys{"container_image_id": isInteger, "container_image_name": isText}
	counts := keys{"vulnerabilities_count": isInteger, "dependencies_count": isInteger, "analysis_id?": isIntegerOrText}
	repository := project.with(keys{"repo_url": isText, "repo_ref_name": isText})
	failure := keys{"error": isText}
	payloads := map[string]keys{
		"test":                                      {},
		"sca_policy_has_been_triggered":             alert.with(keys{"project_id": isInteger}),
		"osa_policy_has_been_triggered":             alert.with(keys{"container_image_id": isInteger, "artifact_repository_id": isInteger}),
		"project_sca_analysis_started":              project,
		"project_sca_analysis_finished":             project.with(counts),
		"project_sca_analysis_cancelled":            project,
		"project_sca_analysis_failed":               project.with(failure),
		"container_image_sca_analysis_started":      image,
		"container_image_sca_analysis_finished":     image.with(counts),
		"container_image_sca_analysis_cancelled":    image,
		"container_image_sca_analysis_failed":       image.with(failure),
		"cloning_of_repository_started":             repository,
		"cloning_of_repository_finished":            repository,
		"cloning_of_repository_failed":              repository.with(failure),
		"ml_model_user_secrets_accepted":            {},
		"ml_model_user_secrets_purged":              {},
		"project_secrets_analysis_failed":           project,
		"ml_model_user_secrets_training_run_failed": {},
		"clones_analysis_failed":                    project.with(failure),
		"authors_analysis_failed":                   project.with(failure),
	}
	for _, end := range []string{"started", "finished", "cancelled"} {
		payloads["clones_analysis_"+end], payloads["authors_analysis_"+end] = project, project
		payloads["project_secrets_analysis_"+end] = project
		payloads["ml_model_user_secrets_training_run_"+end] = keys{}
	}
	payload, known := payloads[trigger]
	return payload, known
}

// Token is the one that the receiver of CodeScoring's webhooks asks for.
const Token = "a-shared-token"

func strictCodeScoring(header http.Header, body []byte) error {
	if token := header.Get("X-CodeScoring-Authentication"); token != Token {
		return fmt.Errorf("401: the token is %q", token)
	}
	value, err := Decode(body)
	if err != nil {
		return err
	}
	event := func(at string, value any) error {
		payload, known := codeScoringPayload(Member(value, "trigger"))
		if !known {
			return fmt.Errorf("%s: the trigger %q is not known", at, Member(value, "trigger"))
		}
		return keys{"created_at": matches(timePattern), "trigger": isText, "payload": payload.shape}.shape(at, value)
	}
	if err := (keys{"events": listOf(event)}).shape("", value); err != nil {
		return err
	}
	object, _ := value.(map[string]any)
	if events, _ := object["events"].([]any); len(events) == 0 {
		return errors.New("there is no event")
	}
	return nil
}

// DefectDojo: https://docs.defectdojo.com/open_source/notification_webhooks/how_to/
func strictDefectDojo(header http.Header, body []byte) error {
	for name, pattern := range map[string]string{
		"User-Agent": `DefectDojo-\d.*`, "X-DefectDojo-Instance": `https?://.+`, "Accept": "application/json", "Content-Type": "application/json",
	} {
		if err := matches(pattern)(name, header.Get(name)); err != nil {
			return err
		}
	}
	urls := keys{"url_ui": isText, "url_api": isText}
	user := urls.with(keys{"id": isInteger, "email": isText, "username": isText, "first_name": isText, "last_name": isText})
	named := urls.with(keys{"id": isInteger, "name": isText})
	titled := urls.with(keys{"id": isInteger, "title": isText})
	finding := titled.with(keys{"severity": matches("Info|Low|Medium|High|Critical")})
	base := keys{"description": isText, "title": isText, "user": orNull(user.shape), "disclaimer?": isText}

	productType := base.with(urls).with(keys{"product_type": named.shape})
	product := productType.with(keys{"product": named.shape})
	engagement := product.with(keys{"engagement": named.shape})
	test := engagement.with(keys{"test": titled.shape})
	scan := test.with(keys{"finding_count": isInteger, "findings": keys{
		"new": listOf(finding.shape), "reactivated": listOf(finding.shape),
		"mitigated": listOf(finding.shape), "untouched": listOf(finding.shape),
	}.shape})
	name := header.Get("X-DefectDojo-Event")
	want, special := map[string]keys{
		"product_type_added": productType, "product_added": product, "engagement_added": engagement, "test_added": test,
		"scan_added": scan, "scan_added_empty": scan,
		"review_requested": test.with(keys{"finding": finding.shape, "requested_by": user.shape, "reviewers": listOf(user.shape)}),
	}[name]
	if !special {
		if _, ok := catalog.TypeOf(catalog.DefectDojo, name); !ok {
			return fmt.Errorf("the event %q is not known", name)
		}
		want = base.with(keys{"url_ui?": isText, "url_api?": isText})
	}
	value, err := Decode(body)
	if err != nil {
		return err
	}
	return want.shape("", value)
}

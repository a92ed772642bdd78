package conditions

import (
	"cmp"
	"errors"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/package-url/packageurl-go"

	"github.com/carillon-dev/carillon"
)

// packageInfo is what the variable pkg says of the event's package.
type packageInfo struct {
	kind, namespace, name, version, subpath string
	qualifiers                              map[string]string
	// publishedName and publishedVersion are what the producer calls them; what
	// it does not say is the purl's.
	publishedName, publishedVersion string
}

// fullName is the name as people write it: "@angular/core".
func (p *packageInfo) fullName() string {
	if p.namespace == "" {
		return p.name
	}
	return p.namespace + "/" + p.name
}

// packageOf reads the event's subject, a purl
// (https://github.com/package-url/purl-spec), or, where it is none, what data
// says in the keys that the catalog's package events have.
func packageOf(e carillon.Event, data map[string]any) *packageInfo {
	text := func(key string) string {
		value, _ := data[key].(types.String)
		return string(value)
	}
	p := readPackage(e, text)
	p.publishedName = cmp.Or(text("package"), p.fullName())
	p.publishedVersion = cmp.Or(text("version"), p.version)
	return p
}

func readPackage(e carillon.Event, text func(key string) string) *packageInfo {
	if strings.HasPrefix(e.Subject, "pkg:") && len(e.Subject) <= MaxStringBytes {
		if purl, err := packageurl.FromString(e.Subject); err == nil {
			return &packageInfo{
				kind: purl.Type, namespace: purl.Namespace, name: purl.Name, version: purl.Version,
				subpath: purl.Subpath, qualifiers: purl.Qualifiers.Map(),
			}
		}
	}
	return &packageInfo{
		kind: text("package_type"), namespace: text("group"), name: text("package"), version: text("version"),
		qualifiers: map[string]string{},
	}
}

var packageType = cel.ObjectType("carillon.Package")

// packageFieldNames has the fields of pkg in the order of a purl.
var packageFieldNames = []string{"type", "namespace", "name", "full_name", "version", "qualifiers", "subpath", "published_name",
	"published_version"}

var packageFields = map[string]*types.FieldType{
	"type":      stringField(func(p *packageInfo) string { return p.kind }),
	"namespace": stringField(func(p *packageInfo) string { return p.namespace }),
	"name":      stringField(func(p *packageInfo) string { return p.name }),
	"full_name": stringField((*packageInfo).fullName),
	"version":   stringField(func(p *packageInfo) string { return p.version }),
	"subpath":   stringField(func(p *packageInfo) string { return p.subpath }),

	"published_name":    stringField(func(p *packageInfo) string { return p.publishedName }),
	"published_version": stringField(func(p *packageInfo) string { return p.publishedVersion }),

	"qualifiers": {
		Type:    cel.MapType(cel.StringType, cel.StringType),
		IsSet:   func(target any) bool { p, ok := target.(*packageInfo); return ok && len(p.qualifiers) > 0 },
		GetFrom: fieldOf(func(p *packageInfo) any { return textsOf(p.qualifiers) }),
	},
}

func stringField(get func(*packageInfo) string) *types.FieldType {
	return &types.FieldType{
		Type:    cel.StringType,
		IsSet:   func(target any) bool { p, ok := target.(*packageInfo); return ok && get(p) != "" },
		GetFrom: fieldOf(func(p *packageInfo) any { return get(p) }),
	}
}

func fieldOf(get func(*packageInfo) any) ref.FieldGetter {
	return func(target any) (any, error) {
		p, ok := target.(*packageInfo)
		if !ok {
			return nil, errors.New("not a package")
		}
		return get(p), nil
	}
}

// provider tells the checker what pkg is, so that a misspelt field is found
// when a condition is saved.
type provider struct {
	types.Provider
}

func newProvider() (types.Provider, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return provider{registry}, nil
}

// FindStructType implements [types.Provider].
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if name == packageType.TypeName() {
		return types.NewTypeTypeWithParam(packageType), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames implements [types.Provider].
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if name == packageType.TypeName() {
		return packageFieldNames, true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType implements [types.Provider].
func (p provider) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	if name == packageType.TypeName() {
		found, ok := packageFields[field]
		return found, ok
	}
	return p.Provider.FindStructFieldType(name, field)
}

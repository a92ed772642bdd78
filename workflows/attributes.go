package workflows

import enumspb "go.temporal.io/api/enums/v1"

// SearchAttributes returns the names of Carillon's search attributes, with the
// types that they are registered with.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	all := make(map[string]enumspb.IndexedValueType, len(attributeTypes))
	for _, a := range attributeTypes {
		all[a.key.GetName()] = a.typ
	}
	return all
}

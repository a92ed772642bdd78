package catalog

import (
	"fmt"
	"slices"
	"sync"
)

// The products whose notifications Carillon writes, as formats, and reads, as
// sources. They are called the same there.
const (
	MyGet       = "myget"
	ProGet      = "proget"
	CodeScoring = "codescoring"
	DefectDojo  = "defectdojo"
)

// Products lists them, in the order in which people see them.
var Products = []string{MyGet, ProGet, CodeScoring, DefectDojo}

// productsFile holds the names that the products have for our types.
const productsFile = "products.yaml"

// ProductType is what a product calls an event type: one row of the table of
// all such names.
type ProductType struct {
	// Name is the product's, such as "PackageAddedWebHookEventPayloadV1".
	Name string
	// Type is ours, such as "package.added".
	Type string
	// When says, for people, which of the notifications of that name become the
	// type; empty where all do.
	When string
	// OneWay says that the type is written under the name, but that a
	// notification of the name becomes another type.
	OneWay bool
}

// productRow is a line of the file.
type productRow struct {
	Name string   `yaml:"name"`
	Type string   `yaml:"type"`
	When string   `yaml:"when"`
	Also []string `yaml:"also"`
}

var readProducts = sync.OnceValues(func() (map[string][]ProductType, error) {
	var file map[string][]productRow
	if err := readYAML(productsFile, &file); err != nil {
		return nil, err
	}
	table := map[string][]ProductType{}
	for product, rows := range file {
		for _, row := range rows {
			table[product] = append(table[product], ProductType{Name: row.Name, Type: row.Type, When: row.When})
			for _, also := range row.Also {
				table[product] = append(table[product], ProductType{Name: row.Name, Type: also, OneWay: true})
			}
		}
	}
	return table, nil
})

// ProductTypes returns all that a product has a name for, in the order of its
// pages; nothing for an unknown product.
func ProductTypes(product string) []ProductType {
	table, _ := readProducts() // [Load] reports the error, which a test finds
	return slices.Clone(table[product])
}

// ProductName returns what the product calls the event type, and whether it has
// a name for it.
func ProductName(product, eventType string) (string, bool) {
	table, _ := readProducts()
	for _, n := range table[product] {
		if n.Type == eventType {
			return n.Name, true
		}
	}
	return "", false
}

// TypeOf returns the event type that a notification of the product's name
// becomes, and whether the name is known. Where [ProductType.When] tells several
// types of one name apart, it is the first of them.
func TypeOf(product, name string) (string, bool) {
	table, _ := readProducts()
	for _, n := range table[product] {
		if n.Name == name && !n.OneWay {
			return n.Type, true
		}
	}
	return "", false
}

// nameTypes gives every type the products' names of it.
func (c *Catalog) nameTypes() error {
	table, err := readProducts()
	if err != nil {
		return err
	}
	for product, names := range table {
		if !slices.Contains(Products, product) {
			return fmt.Errorf("%s: there is no product %q", productsFile, product)
		}
		for _, n := range names {
			t, ok := c.byName[n.Type]
			if !ok {
				return fmt.Errorf("%s: %s has a name for %q, which is no event type", productsFile, product, n.Type)
			}
			if _, ok := t.Products[product]; ok {
				return fmt.Errorf("%s: %s has two names for %s", productsFile, product, n.Type)
			}
			t.Products[product] = n.Name
		}
	}
	return nil
}

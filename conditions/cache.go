package conditions

import lru "github.com/hashicorp/golang-lru/v2"

// Cache is an [Environment] that remembers what it compiled, so that the many
// who write the same condition share one program. It is safe for concurrent
// use.
type Cache struct {
	env  *Environment
	seen *lru.Cache[string, compiled]
}

type compiled struct {
	condition *Condition
	err       error
}

// NewCache returns a cache of at most size expressions, and at least one; the
// least recently used one makes room.
func NewCache(env *Environment, size int) *Cache {
	seen, _ := lru.New[string, compiled](max(size, 1)) // it only refuses a size below one
	return &Cache{env: env, seen: seen}
}

// Compile is [Environment.Compile]. Its results are shared: an error is not to
// be written to.
func (c *Cache) Compile(expression string) (*Condition, error) {
	if known, ok := c.seen.Get(expression); ok {
		return known.condition, known.err
	}
	condition, err := c.env.Compile(expression)
	c.seen.Add(expression, compiled{condition, err})
	return condition, err
}

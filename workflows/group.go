package workflows

import (
	"context"
	"sync"

	"github.com/carillon-dev/carillon"
)

// groupStarts is how many starts of single posts are under way before the posts
// that come wait and share one.
const groupStarts = 2

// group lets single posts share runs under load, as a database groups commits:
// while starts are under way, posts wait, and the next start takes all that
// came. Nobody waits for a timer.
type group struct {
	publisher *Publisher

	mu       sync.Mutex
	starting int
	waiting  []*waitingPost
}

// waitingPost is a post on its way.
type waitingPost struct {
	posted carillon.Posted
	done   chan outcome
}

// GroupCommit makes single posts share runs under load. It is called before the
// first post.
func (p *Publisher) GroupCommit() { p.group = &group{publisher: p} }

// publish is [Publisher.Publish]. A producer that hangs up leaves its event on
// its way.
func (g *group) publish(ctx context.Context, posted carillon.Posted) (carillon.Run, error) {
	post := &waitingPost{posted: posted, done: make(chan outcome, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, post)
	start := g.starting < groupStarts
	if start {
		g.starting++
	}
	g.mu.Unlock()
	if start {
		// Of the process and not of this post: it starts what others wait for.
		go g.work(context.WithoutCancel(ctx))
	}
	select {
	case o := <-post.done:
		return o.run, o.err
	case <-ctx.Done():
		return carillon.Run{}, unavailable("the post was broken off", ctx.Err())
	}
}

// work starts what waits until nothing does.
func (g *group) work(ctx context.Context) {
	for posts := g.take(); len(posts) > 0; posts = g.take() {
		events := make([]carillon.Posted, len(posts))
		for i, post := range posts {
			events[i] = post.posted
		}
		if len(events) == 1 {
			run, err := g.publisher.publishAlone(ctx, events[0])
			posts[0].done <- outcome{run: run, err: err}
			continue
		}
		for i, o := range g.publisher.publishShared(ctx, events, false) {
			posts[i].done <- o
		}
	}
}

// take returns what goes into the next start; nothing when nothing waits, and
// then the caller's start is over.
func (g *group) take() []*waitingPost {
	g.mu.Lock()
	defer g.mu.Unlock()
	n, bytes := 0, 0
	for n < min(len(g.waiting), MaxBatchEvents) {
		bytes += eventBytes(g.waiting[n].posted.Event)
		if n > 0 && bytes > MaxBatchBytes {
			break
		}
		n++
	}
	posts := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.waiting = nil
		g.starting--
	}
	return posts
}

// eventBytes is about how long an event is as JSON.
func eventBytes(e carillon.Event) int {
	size := 512 + len(e.Data) + len(e.Subject) + len(e.Actor) + len(e.Source)
	for key, value := range e.Scope {
		size += len(key) + len(value)
	}
	return size
}

package workflows

import (
	"context"
	"slices"
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
	bytes    int // of those that wait
}

// waitingPost is a post on its way.
type waitingPost struct {
	// ctx ends when its producer is gone.
	ctx    context.Context
	posted carillon.Posted
	done   chan outcome
}

// maxWaitingBytes bounds the posts that wait, as when Temporal is away.
const maxWaitingBytes = 64 << 20

// GroupCommit makes single posts share runs under load. It is called before the
// first post.
func (p *Publisher) GroupCommit() { p.group = &group{publisher: p} }

// publish is [Publisher.Publish]. A producer that hangs up leaves its event on
// its way.
func (g *group) publish(ctx context.Context, posted carillon.Posted) (carillon.Run, error) {
	post := &waitingPost{ctx: ctx, posted: posted, done: make(chan outcome, 1)}
	g.mu.Lock()
	if g.bytes > maxWaitingBytes {
		g.mu.Unlock()
		return carillon.Run{}, unavailable("too many posts wait for Temporal", nil)
	}
	g.waiting = append(g.waiting, post)
	g.bytes += eventBytes(posted.Event)
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
	for {
		posts := g.take()
		if posts == nil {
			return
		}
		// One whose event is being published waits for that by itself.
		posts = slices.DeleteFunc(posts, func(post *waitingPost) bool {
			busy := g.publisher.turns.taken(post.posted.Event.ID)
			if busy {
				go g.alone(ctx, post)
			}
			return busy
		})
		events := make([]carillon.Posted, len(posts))
		for i, post := range posts {
			events[i] = post.posted
		}
		switch len(events) {
		case 0:
		case 1:
			g.alone(ctx, posts[0])
		default:
			for i, o := range g.publisher.publishShared(ctx, events, false) {
				posts[i].done <- o
			}
		}
	}
}

func (g *group) alone(ctx context.Context, post *waitingPost) {
	run, err := g.publisher.publishAlone(ctx, post.posted)
	post.done <- outcome{run: run, err: err}
}

// take returns what goes into the next start; nothing when nothing waits, and
// then the caller's start is over.
func (g *group) take() []*waitingPost {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Whose producer is gone was told that nobody knows.
	g.waiting = slices.DeleteFunc(g.waiting, func(post *waitingPost) bool {
		if post.ctx.Err() != nil {
			g.bytes -= eventBytes(post.posted.Event)
		}
		return post.ctx.Err() != nil
	})
	n, bytes := 0, 0
	for n < min(len(g.waiting), MaxBatchEvents) {
		size := eventBytes(g.waiting[n].posted.Event)
		if n > 0 && bytes+size > MaxBatchBytes {
			break
		}
		bytes += size
		n++
	}
	g.bytes -= bytes
	posts := g.waiting[:n:n]
	g.waiting = g.waiting[n:]
	if n == 0 {
		g.waiting = nil
		g.starting--
		return nil
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

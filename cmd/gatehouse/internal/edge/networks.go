package edge

import "gatehouse/users/rate"

// networks are the connections that there are, by whose they are and by how many each
// network has, so that the network that has most is found without a look at the others.
type networks struct {
	all     int
	of      map[rate.Key]*network
	bySize  []*list[*network] // those with so many connections
	largest int
}

func newNetworks() networks { return networks{of: map[rate.Key]*network{}} }

// network has at least one connection.
type network struct {
	key   rate.Key
	conns list[*boundConn] // about in the order in which they began to rest
	rank  element[*network]
}

func (n *networks) size(key rate.Key) int {
	if own := n.of[key]; own != nil {
		return own.conns.size
	}
	return 0
}

func (n *networks) add(conn *boundConn) {
	own := n.of[conn.network]
	if own == nil {
		own = &network{key: conn.network}
		own.rank.value = own
		n.of[conn.network] = own
	}
	conn.of, conn.place.value = own, conn
	own.conns.push(&conn.place)
	n.rank(own)
	n.all++
}

func (n *networks) remove(conn *boundConn) {
	own := conn.of
	own.conns.remove(&conn.place)
	conn.of = nil
	n.rank(own)
	n.all--
	if own.conns.size == 0 {
		delete(n.of, own.key)
	}
}

// rank puts a network that has one more or one less where it belongs.
func (n *networks) rank(own *network) {
	if own.rank.in != nil {
		own.rank.in.remove(&own.rank)
	}
	size := own.conns.size
	if size > 0 {
		for len(n.bySize) <= size {
			n.bySize = append(n.bySize, new(list[*network]))
		}
		n.bySize[size].push(&own.rank)
		n.largest = max(n.largest, size)
	}
	for n.largest > 0 && n.bySize[n.largest].size == 0 {
		n.largest-- // once at the most: a network that had more is one below
	}
}

// mostLooks is how many connections are looked at for one that rests. Where very many
// are busy the next look goes on behind them.
const mostLooks = 512

// looks is how many there were.
type looks int

// rester finds the connection that is to make room for somebody of a network with so
// many: of a network that has more, of the one that has most. The connection is
// evicted; nil if none was found that rests.
func (n *networks) rester(over int) *boundConn {
	var looked looks
	for size := n.largest; size > over && looked < mostLooks; size-- {
		same := n.bySize[size]
		for range same.size {
			own := same.first.value
			same.remove(&own.rank)
			same.push(&own.rank) // the next one's turn
			if out := own.rester(&looked); out != nil {
				return out
			}
			if looked >= mostLooks {
				break
			}
		}
	}
	return nil
}

// rester evicts the connection that has rested longest, or nearly so: where each that was
// looked at has had a request since it was put where it is, the longest of those.
func (n *network) rester(looked *looks) *boundConn {
	var best *boundConn
	var since int64
	for range n.conns.size {
		if *looked++; *looked > mostLooks {
			break
		}
		conn := n.conns.first.value
		resting := conn.resting.Load()
		if resting > busy && resting == conn.placed {
			if conn.resting.CompareAndSwap(resting, evicted) {
				return conn
			}
			continue // a request came this moment; it is busy at the next look
		}
		n.conns.remove(&conn.place)
		n.conns.push(&conn.place)
		if resting > busy {
			conn.placed = resting
			if best == nil || resting < since {
				best, since = conn, resting
			}
		}
	}
	if best != nil && best.resting.CompareAndSwap(since, evicted) {
		return best
	}
	return nil
}

// list is in the order in which its elements were pushed.
type list[T any] struct {
	first, last *element[T]
	size        int
}

// element is in one list at a time.
type element[T any] struct {
	value          T
	in             *list[T]
	before, behind *element[T]
}

func (l *list[T]) push(e *element[T]) {
	e.in, e.before, e.behind = l, l.last, nil
	if l.last != nil {
		l.last.behind = e
	} else {
		l.first = e
	}
	l.last = e
	l.size++
}

func (l *list[T]) remove(e *element[T]) {
	if e.before != nil {
		e.before.behind = e.behind
	} else {
		l.first = e.behind
	}
	if e.behind != nil {
		e.behind.before = e.before
	} else {
		l.last = e.before
	}
	e.in, e.before, e.behind = nil, nil, nil
	l.size--
}

package proxy

import "gatehouse/proxy/route"

// Rows is the table of routes in the order in which a request is held against it,
// for people to read. The token endpoints come before all of it.
func (g *Gateway) Rows() []route.Row { return g.table.Rows() }

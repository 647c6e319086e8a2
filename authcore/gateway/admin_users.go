package gateway

// adminUserRoutes answers the routes by which users are administered.
func (g *Gateway) adminUserRoutes() map[string]route { return map[string]route{} }

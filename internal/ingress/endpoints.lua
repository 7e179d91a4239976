-- What NGINX does at run time: it picks an endpoint for each request, so that
-- pods come and go without a reload, and counts what the endpoints answer.
--
-- The controller writes the endpoints of each backend into a shared dictionary,
-- which outlives reloads: "ADDRESS PORT ADDRESS PORT …" by the backend's name.
-- Three more keys belong to it: "!drain", the newest generation that is about to be
-- replaced, "!full", there while no more uploads fit on the disk, and "!version",
-- which grows with each change of the others: only then a worker reads them anew.
--
-- The counters are in a dictionary of their own. "BACKEND ADDRESS PORT" has the
-- seconds that the endpoint's answers took to begin, "BACKEND ADDRESS PORT CLASS
-- BUCKET" how many answers there were. When it is full, the counters go that have
-- not been touched for the longest.
local balancer = require "ngx.balancer"

local shared = ngx.shared.endpoints
local counts = ngx.shared.counts
local M = {generation = 0}

-- What this worker knows, as of a version.
local version
local drained, full = -1, nil
local known = {} -- the endpoints by backend

local function look()
  local now = shared:get("!version")
  if now ~= version then
    version, drained, full = now, shared:get("!drain") or -1, shared:get("!full")
  end
end

-- peers_of returns a backend's endpoints, each with its place among them, and finds
-- them by what $upstream_addr calls them.
local function peers_of(backend)
  local peers = known[backend]
  if peers and peers.version == version then
    return peers
  end
  local text = shared:get(backend)
  if not text then
    known[backend] = nil
    return nil
  end
  if not peers or peers.text ~= text then
    peers = {text = text, by = {}}
    for host, port in text:gmatch("(%S+) (%d+)") do
      local peer = {host = host, port = tonumber(port), at = #peers + 1, counter = backend .. " " .. host .. " " .. port}
      peers[peer.at], peers.by[host .. ":" .. port] = peer, peer
    end
    peers.turn = math.random(#peers)
    known[backend] = peers
  end
  peers.version = version
  return peers
end

-- last returns the last of what NGINX tells of each try, "0.002, 0.010". Most have
-- one, which needs no pattern: LuaJIT compiles none.
local function last(tries)
  if tries and tries:find(" ", 1, true) then
    return tries:match("%S+$")
  end
  return tries
end

local function id_of(peer)
  peer.id = peer.id or ngx.md5(peer.host .. " " .. peer.port)
  return peer.id
end

-- Fields that only concern one connection: RFC 9110, section 7.6.1. What a
-- proxied request is framed and routed by is not a client's to remove.
local kept = {["close"] = true, ["keep-alive"] = true, ["upgrade"] = true, ["host"] = true,
  ["content-length"] = true, ["transfer-encoding"] = true}

-- A request may have several Connection fields, of which NGINX's variable is the
-- first.
local function remove_connection_fields()
  local lines = ngx.req.get_headers(0).connection
  for _, line in ipairs(type(lines) == "table" and lines or {lines}) do
    for name in line:lower():gmatch("[^%s,]+") do
      if not kept[name] then
        ngx.req.clear_header(name)
      end
    end
  end
end

-- Below this a body stays in memory: client_body_buffer_size.
local memory = 16 * 1024

local function spools()
  local length = tonumber(ngx.var.http_content_length)
  if length then
    return length > memory
  end
  return ngx.var.http_transfer_encoding ~= nil or (ngx.req.http_version() >= 2 and ngx.var.request_method ~= "GET")
end

-- Such a request is the same after it was taken back to its location: NGINX
-- writes the path of any other anew, where %2F and / are one, and drops a "?"
-- that nothing follows.
local function plain(uri)
  local path = uri:match("^[^?]*")
  return uri:sub(-1) ~= "?" and not path:find("[^!-~]") and not path:find("[%%#]") and not path:find("//", 1, true) and not path:find("/.", 1, true)
end

-- The workers before those that are replaced may be there still: NGINX lets them
-- accept connections for 100 ms after the new ones have started. $again says that
-- the request has been here before; what is rewritten is internal as well.
local function drains()
  return M.generation <= drained and ngx.req.http_version() < 2 and ngx.var.again ~= "1" and
    not ngx.var.http_upgrade and plain(ngx.var.request_uri)
end

-- access runs for each request that goes to a backend.
function M.access()
  look()
  if drains() then
    -- NGINX closes the connection after the response to such a status, but
    -- error_page leads back here (see again) instead of answering it.
    return ngx.exit(496)
  end
  if ngx.var.http_connection then
    remove_connection_fields()
  end
  if not peers_of(ngx.var.backend) or (full and spools()) then
    return ngx.exit(503)
  end
end

-- again takes a request back to its location, with its method and its body. Its
-- path may have been rewritten by now.
function M.again()
  return ngx.exec(ngx.var.request_uri:match("^[^?]*"), ngx.var.args)
end

-- answering returns the endpoint that was tried last, of those that are still there,
-- and how NGINX calls it; neither if none was tried.
local function answering(peers)
  local address = last(ngx.var.upstream_addr)
  return address and peers and peers.by[address], address
end

local function first(peers)
  if #peers == 1 then
    return peers[1]
  end
  balancer.set_more_tries(math.min(#peers, 3) - 1)
  local cookie = ngx.var.sticky
  cookie = cookie and cookie ~= "" and ngx.var["cookie_" .. cookie]
  if cookie then
    for _, peer in ipairs(peers) do
      if id_of(peer) == cookie then
        return peer
      end
    end
  end
  peers.turn = peers.turn % #peers + 1
  return peers[peers.turn]
end

-- balance runs for each try.
function M.balance()
  local peers = peers_of(ngx.var.backend)
  if not peers then
    return ngx.exit(ngx.ERROR) -- it has lost the last while this request was read
  end
  local failed = balancer.get_last_failure() and answering(peers)
  local peer = failed and peers[failed.at % #peers + 1] or first(peers)
  local ok, err = balancer.set_current_peer(peer.host, peer.port)
  if not ok then
    ngx.log(ngx.ERR, "endpoint ", peer.host, " ", peer.port, ": ", err)
    return ngx.exit(ngx.ERROR)
  end
end

-- stick makes a client come back to the endpoint that answered it.
function M.stick(attributes)
  local peer, name = answering(peers_of(ngx.var.backend)), ngx.var.sticky
  if not peer or ngx.var["cookie_" .. name] == id_of(peer) then
    return
  end
  local cookie = name .. "=" .. id_of(peer) .. attributes
  local others = ngx.header["Set-Cookie"]
  if type(others) ~= "table" then
    others = {others}
  end
  others[#others + 1] = cookie
  ngx.header["Set-Cookie"] = others
end

-- Upper bounds of the buckets in seconds; a last one takes the rest.
local bounds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10}
local classes = 5 -- 1xx to 5xx
local remembered = 600 -- seconds that the counters of an endpoint outlive it

-- seconds returns how long the endpoint that was tried last took to begin its
-- answer, or to fail. How long the answer itself takes is the client's affair, or
-- a stream's.
local function seconds()
  return tonumber(last(ngx.var.upstream_header_time)) or tonumber(last(ngx.var.upstream_response_time)) or 0
end

local function counter_of(peer, class, bucket)
  local slot = class * 16 + bucket
  local key = peer[slot]
  if not key then
    key = peer.counter .. " " .. class .. " " .. bucket
    peer[slot] = key
  end
  return key
end

local function has(text, host, port)
  return text and (" " .. text .. " "):find(" " .. host .. " " .. port .. " ", 1, true) ~= nil
end

-- What this worker has counted and not told the others, by counter.
local untold, telling = {}, false

local function tell()
  for key, value in pairs(untold) do
    local backend, host, port = key:match("^(%S+) (%S+) (%d+)")
    if counts:incr(key, value, 0) == value and not has(shared:get(backend), host, port) then
      counts:expire(key, remembered) -- it has gone while it answered
    end
  end
  untold, telling = {}, false
end

local function add(key, value)
  untold[key] = (untold[key] or 0) + value
end

-- count runs after each response. No error of a counter is one of the request.
function M.count()
  local backend = ngx.var.backend
  local peer, address = answering(peers_of(backend))
  if not peer then
    local host, port = (address or ""):match("^(.+):(%d+)$")
    if not host then
      return -- it never got to an endpoint
    end
    peer = {counter = backend .. " " .. host .. " " .. port}
  end
  local took, bucket = seconds(), 1
  while bounds[bucket] and took > bounds[bucket] do
    bucket = bucket + 1
  end
  local class = math.floor(ngx.status / 100)
  if class < 1 or class > classes then
    class = 4 -- there is no response: the client has left
  end
  add(counter_of(peer, class, bucket), 1)
  add(peer.counter, took)
  -- All workers wait for one lock of the dictionary, so a worker tells seldom.
  telling = telling or ngx.timer.at(0.1, tell)
  if not telling then
    tell() -- the worker ends, and starts no timers
  end
end

local function each_counter(backend, host, port, with)
  local key = backend .. " " .. host .. " " .. port
  if counts:get(key) then
    with(key)
    for class = 1, classes do
      for bucket = 1, #bounds + 1 do
        with(key .. " " .. class .. " " .. bucket)
      end
    end
  end
end

-- recount forgets the endpoints of a backend that have gone, after a while, and
-- begins at 0 with those that come: an address may be another pod's by then.
local function recount(backend, before, after)
  for host, port in (before or ""):gmatch("(%S+) (%d+)") do
    if not has(after, host, port) then
      each_counter(backend, host, port, function(key) counts:expire(key, remembered) end)
    end
  end
  for host, port in (after or ""):gmatch("(%S+) (%d+)") do
    if not has(before, host, port) then
      each_counter(backend, host, port, function(key) counts:delete(key) end)
    end
  end
end

-- counts answers with all counters, or with those of the namespace that is asked
-- for, a line each, after the bounds.
function M.counts()
  local below = ngx.var.arg_namespace and ngx.var.arg_namespace .. "."
  local lines = {table.concat(bounds, " ")}
  for _, key in ipairs(counts:get_keys(0)) do
    local value = (not below or key:sub(1, #below) == below) and counts:get(key)
    if value then
      lines[#lines + 1] = key .. " " .. value
    end
  end
  lines[#lines + 1] = ""
  ngx.print(table.concat(lines, "\n"))
end

local function store(key, value)
  if key:byte() ~= 33 then -- "!"
    recount(key, shared:get(key), value)
  end
  if value == "" then
    return shared:delete(key)
  end
  return shared:safe_set(key, key == "!drain" and tonumber(value) or value)
end

-- feed takes lines of a key and its value; a key alone is removed. It answers
-- 507 if not all of them fit.
function M.feed()
  ngx.req.read_body()
  local body, fits = ngx.req.get_body_data(), true
  for key, value in (body or ""):gmatch("(%S+) ?([^\n]*)\n") do
    local ok, err = store(key, value)
    if not ok then
      ngx.log(ngx.ERR, "endpoints of ", key, ": ", err)
      fits = false
      break
    end
  end
  -- After the change: who reads before has the version before.
  shared:incr("!version", 1, 0)
  if not fits then
    return ngx.exit(507)
  end
end

return M

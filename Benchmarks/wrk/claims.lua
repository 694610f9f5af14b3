-- A crew of workers: every thread of wrk is one, with one connection, and claims, reads the reply, completes what it
-- got, and claims again, until the queue is empty or it has claimed often enough.
--
--   wrk -t N -c N -s claims.lua URL -- QUEUE BATCH CLAIMS_MAX RESULT KEY…
--
-- Each thread then writes RESULT.<number>.json: what it completed, when, and how long each claim took (microseconds).

local ffi = require("ffi")
ffi.cdef([[
typedef struct { long seconds; long nanoseconds; } reeve_time;
int clock_gettime(int clock, reeve_time *time);
]])
local MONOTONIC = 1

local count = 0

function setup(thread)
  thread:set("number", count)
  count = count + 1
end

local cell = ffi.new("reeve_time")
local function now()
  ffi.C.clock_gettime(MONOTONIC, cell)
  return tonumber(cell.seconds) + tonumber(cell.nanoseconds) / 1e9
end

local function post(path, body)
  return string.format(
    "POST %s HTTP/1.1\r\nHost: reeve\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
      .. "Content-Length: %d\r\n\r\n%s", path, key, #body, body)
end

function init(args)
  queue, batch, claims_max, result = args[1], tonumber(args[2]), tonumber(args[3]), args[4]
  key = args[5 + number]
  claim = post("/api/v1/tasks/claim", string.format('{"queues":["%s"],"limit":%d}', queue, batch))
  completion = nil -- the request that completes what was claimed last, while that is not done
  held = 0
  completed, claims = 0, 0
  begun, ended, sent = nil, nil, nil
  claim_us = {}
end

-- wrk asks once for a request that it never sends; nothing may change here but the time.
function request()
  sent = now()
  if completion then return completion end
  begun = begun or sent
  return claim
end

local function finish(refusal)
  local file = assert(io.open(result .. "." .. number .. ".json.new", "w"))
  file:write(string.format(
    '{"completed":%d,"begun":%.6f,"ended":%.6f,"refusal":"%s","claim_us":[%s]}', completed, begun, ended or now(),
    refusal, table.concat(claim_us, ",")))
  file:close()
  os.rename(result .. "." .. number .. ".json.new", result .. "." .. number .. ".json")
  wrk.thread:stop()
end

local function take(body)
  if batch == 1 then
    local id, fence = body:match('"id":"(task_[%w%-]+)"'), body:match('"fence":(%d+)')
    held = 1
    return post("/api/v1/tasks/" .. id .. "/complete", '{"fence":' .. fence .. "}")
  end
  local items = {}
  for id in body:gmatch('"task":{"id":"(task_[%w%-]+)"') do items[#items + 1] = id end
  held = #items
  local index = 0
  for fence in body:gmatch('"fence":(%d+),"leaseExpiresAt"') do
    index = index + 1
    items[index] = string.format('{"id":"%s","fence":%s}', items[index], fence)
  end
  return post("/api/v1/tasks/complete", '{"items":[' .. table.concat(items, ",") .. "]}")
end

function response(status, _, body)
  local at = now()
  if status ~= 200 then return finish(status .. " " .. body:sub(1, 300):gsub('["\\]', "'")) end
  if completion then
    if batch > 1 and body:find('"error":', 1, true) then return finish(body:sub(1, 300):gsub('["\\]', "'")) end
    completed = completed + held
    completion = nil
    ended = at
    if claims_max > 0 and claims >= claims_max then return finish("") end
  elseif body:sub(1, 12) == '{"items":[]}' then
    return finish("")
  else
    claims = claims + 1
    claim_us[claims] = math.floor((at - sent) * 1e6)
    completion = take(body)
  end
end

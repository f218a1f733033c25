-- Sends one form again and again, and compares every answer, byte by byte, with the one that is right.
--   wrk -s load.lua URL -- FORM BOUNDARY ANSWER RESULT
local threads = {}

function setup(thread)
  table.insert(threads, thread)
end

local function read(path)
  local file = assert(io.open(path, "rb"))
  local content = file:read("*a")
  file:close()
  return content
end

function init(args)
  wrk.method = "POST"
  wrk.headers["Content-Type"] = "multipart/form-data; boundary=" .. args[2]
  wrk.body = read(args[1])
  right = read(args[3])
  result = args[4]
  wrong = 0
  not_200 = 0
end

function response(status, headers, body)
  if status ~= 200 then
    not_200 = not_200 + 1
  elseif body ~= right then
    wrong = wrong + 1
  end
end

function done(summary, latency, requests)
  local wrong, not_200 = 0, 0
  for _, thread in ipairs(threads) do
    wrong = wrong + thread:get("wrong")
    not_200 = not_200 + thread:get("not_200")
  end
  local file = assert(io.open(threads[1]:get("result"), "w"))
  local errors = summary.errors
  file:write(string.format('{"requests":%d,"microseconds":%d,"wrong":%d,"not_200":%d,', summary.requests, summary.duration, wrong, not_200))
  file:write(string.format('"socket_errors":%d,"latencies":[', errors.connect + errors.read + errors.write + errors.timeout))
  -- Every latency in microseconds that was seen, and how often.
  for index = 1, #latency do
    local value, count = latency(index)
    file:write(string.format('%s[%d,%d]', index > 1 and "," or "", value, count))
  end
  file:write("]}")
  file:close()
end

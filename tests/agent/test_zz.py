import time
from tests.agent.conftest import *
from sqlalchemy import event
from sqlalchemy.engine import Engine
async def test_lat(world, friends):
    alice,bob=friends
    for _ in range(3):
        r=await alice.agent.query("bob","AVAILABILITY",WEEK); await world.settle()
    log=[]
    def on(conn,cur,stmt,params,ctx,many): log.append(stmt)
    event.listen(Engine,"before_cursor_execute",on)
    r=await alice.agent.query("bob","AVAILABILITY",WEEK); await world.settle()
    event.remove(Engine,"before_cursor_execute",on)
    print(len(log))
    import sys; sys.setswitchinterval(0.0005)
    ts=[]
    for i in range(150):
        t=time.perf_counter()
        r=await alice.agent.query("bob","AVAILABILITY",WEEK)
        await alice.agent.wait_query(r,5)
        ts.append((time.perf_counter()-t)*1000)
    ts.sort(); print("p50",ts[75],"p95",ts[142])
